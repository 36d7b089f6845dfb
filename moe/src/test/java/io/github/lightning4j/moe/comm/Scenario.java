package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;

/** What every communicator must do: run by all ranks, one after the other on the same world. */
enum Scenario {
  GATHERS_EVERY_TYPE {
    @Override
    void run(Communicator world) {
      for (DType type : DType.values()) {
        for (long[] shape : new long[][] {{}, {0}, {1}, {3, 5}, {2, 1, 4097}}) {
          gather(world, type, shape);
        }
      }
    }
  },
  SUMS_IN_THE_ORDER_OF_RANKS {
    @Override
    void run(Communicator world) {
      for (DType type :
          new DType[] {DType.F64, DType.F32, DType.F16, DType.BF16, DType.I64, DType.I32}) {
        for (int n : new int[] {0, 1, 2, 3, 7, 8, 65, 4097, 70_001}) {
          Sums.check(world, type, n);
        }
      }
    }
  },
  REFUSES_SUMS_OF_BYTES {
    @Override
    void run(Communicator world) {
      try (Tensor bytes = Tensor.allocate(DType.U8, 4)) {
        assertThatIllegalArgumentException()
            .isThrownBy(() -> world.allReduceSum(bytes))
            .withMessageContaining("inOut: expected dtype in")
            .withMessageContaining("got U8");
      }
    }
  },
  TELLS_COUNTS {
    @Override
    void run(Communicator world) {
      long[] rowsTo = new long[world.size()];
      Arrays.setAll(rowsTo, to -> 100L * world.rank() + to);
      long[] rowsFrom = world.allToAllCounts(rowsTo);
      for (int from = 0; from < world.size(); from++) {
        assertThat(rowsFrom[from]).isEqualTo(100L * from + world.rank());
      }
    }
  },
  EXCHANGES_ROWS {
    @Override
    void run(Communicator world) {
      for (DType type : DType.values()) {
        for (int width : new int[] {1, 3, 64}) {
          for (int most : new int[] {0, 1, 2, 9}) {
            try (Rows rows = new Rows(world, type, width, most)) {
              world.allToAll(rows.send, rows.rowsTo, rows.out, rows.rowsFrom);
              rows.assertArrived();
            }
          }
        }
      }
    }
  },
  EXCHANGES_LARGE_ROWS {
    @Override
    void run(Communicator world) {
      try (Rows rows = new Rows(world, DType.F32, 6144, 60)) {
        world.allToAll(rows.send, rows.rowsTo, rows.out, rows.rowsFrom);
        rows.assertArrived();
      }
    }
  },
  HAS_SEVERAL_TRANSFERS_UNDER_WAY {
    @Override
    void run(Communicator world) {
      try (Rows a = new Rows(world, DType.F32, 2048, 20);
          Rows b = new Rows(world, DType.BF16, 3, 7);
          Rows c = new Rows(world, DType.F32, 2048, 31)) {
        PendingTransfer first = world.allToAllAsync(a.send, a.rowsTo, a.out, a.rowsFrom);
        PendingTransfer second = world.allToAllAsync(b.send, b.rowsTo, b.out, b.rowsFrom);
        gather(world, DType.I32, 5);
        PendingTransfer third = world.allToAllAsync(c.send, c.rowsTo, c.out, c.rowsFrom);
        third.await();
        c.assertArrived();
        second.await();
        b.assertArrived();
        while (!first.isDone()) {
          Thread.onSpinWait();
        }
        first.await();
        first.await();
        a.assertArrived();
      }
    }
  },
  MOVES_WHILE_NOBODY_WAITS {
    @Override
    void run(Communicator world) throws InterruptedException {
      try (Rows rows = new Rows(world, DType.F32, 2048, 40)) {
        PendingTransfer pending =
            world.allToAllAsync(rows.send, rows.rowsTo, rows.out, rows.rowsFrom);
        for (int i = 0; i < 3000 && !rows.hasArrived(); i++) {
          Thread.sleep(10);
        }
        rows.assertArrived();
        pending.await();
      }
    }
  },
  SPLITS_INTO_A_GRID {
    @Override
    void run(Communicator world) {
      int color = world.rank() % 2;
      Communicator column = world.split(color, -world.rank());
      Communicator row = world.split(world.rank() / 2, 0);
      int members = (world.size() + 1 - color) / 2;
      assertThat(column.size()).isEqualTo(members);
      assertThat(column.rank()).isEqualTo(members - 1 - world.rank() / 2);
      assertThat(row.rank()).isEqualTo(world.rank() % 2);
      gather(column, DType.I64, 9);
      gather(row, DType.F32, 3);
      try (Rows across = new Rows(row, DType.F32, 1024, 30);
          Rows all = new Rows(world, DType.F32, 1024, 30)) {
        PendingTransfer a =
            row.allToAllAsync(across.send, across.rowsTo, across.out, across.rowsFrom);
        PendingTransfer b = world.allToAllAsync(all.send, all.rowsTo, all.out, all.rowsFrom);
        Sums.check(column, DType.F32, 100);
        b.await();
        a.await();
        across.assertArrived();
        all.assertArrived();
      }
      Communicator alone = column.split(column.rank(), 0);
      assertThat(alone.size()).isEqualTo(1);
      gather(alone, DType.F32, 3);
      column.close();
      assertThatIllegalStateException().isThrownBy(column::barrier).withMessageContaining("closed");
      assertThatIllegalStateException().isThrownBy(column::close).withMessageContaining("already");
      gather(row, DType.F32, 3);
    }
  },
  CHECKS_THAT_RANKS_ARE_ALIKE {
    @Override
    void run(Communicator world) {
      world.checkSame("config", "sha256:1234");
      if (world.size() > 1) {
        String value = world.rank() == 1 ? "new" : "old";
        assertThatThrownBy(() -> world.checkSame("checkpoint", value))
            .isInstanceOf(RankMismatchException.class)
            .hasMessageMatching("checkpoint differs: (rank 0|ranks 0 [ \\d]+) 'old', rank 1 'new'");
        assertThatThrownBy(() -> world.checkSame("name " + value, "same"))
            .isInstanceOf(RankMismatchException.class)
            .hasMessageContaining("rank 1 'checkSame name new'");
      }
      assertThatIllegalArgumentException()
          .isThrownBy(() -> world.checkSame("text", "x".repeat(1025)))
          .withMessageContaining("at most 1024 bytes, got 1025");
      world.barrier();
    }
  },
  FINDS_ROWS_THAT_DO_NOT_FIT {
    @Override
    void run(Communicator world) {
      if (world.size() == 1) {
        return;
      }
      try (Rows rows = new Rows(world, DType.F32, 3, 4)) {
        if (world.rank() == 1) {
          rows.expectOneMoreFrom(0);
        }
        long[] sent = Rows.counts(world.size(), 0, 4);
        assertThatThrownBy(() -> world.allToAll(rows.send, rows.rowsTo, rows.out, rows.rowsFrom))
            .isInstanceOf(RankMismatchException.class)
            .hasMessage(
                "allToAll F32 rows of shape [3]: rank 0 sends %d rows to rank 1, which expects %d",
                sent[1], sent[1] + 1);
      }
      gather(world, DType.F32, 3);
    }
  },
  FINDS_DIFFERENT_CALLS {
    @Override
    void run(Communicator world) {
      if (world.size() == 1) {
        return;
      }
      assertThatThrownBy(
              () -> {
                if (world.rank() == 0) {
                  gather(world, DType.F32, 2, 3);
                } else {
                  world.barrier();
                }
              })
          .isInstanceOf(RankMismatchException.class)
          .hasMessageContaining("rank 0 'allGather F32[2, 3]'")
          .hasMessageContaining("1")
          .hasMessageContaining("'barrier'");
      assertThatThrownBy(() -> gather(world, DType.F32, 2 + world.rank() % 2))
          .isInstanceOf(RankMismatchException.class)
          .hasMessageContaining("'allGather F32[2]'")
          .hasMessageContaining("'allGather F32[3]'");
      gather(world, DType.F32, 3);
    }
  },
  TELLS_ALL_OF_REFUSED_ARGUMENTS {
    @Override
    void run(Communicator world) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor in = scope.allocate(DType.F32, 2, 3);
        Tensor out = scope.allocate(DType.F32, world.size(), 2, 3);
        if (world.rank() == world.size() - 1) {
          Tensor wrong = scope.allocate(DType.F32, world.size(), 3, 2);
          assertThatIllegalArgumentException()
              .isThrownBy(() -> world.allGather(in, wrong))
              .withMessageContaining("out: expected shape");
        } else {
          assertThatThrownBy(() -> world.allGather(in, out))
              .isInstanceOf(RankMismatchException.class)
              .hasMessageContaining("rank " + (world.size() - 1) + " refused its arguments: out:");
        }
        world.allGather(in, out);
      }
    }
  },
  NAMES_WRONG_ARGUMENTS {
    @Override
    void run(Communicator world) {
      Refusals.check(world);
    }
  };

  abstract void run(Communicator world) throws Exception;

  /** Gathers numbers that tell rank and place. */
  static void gather(Communicator world, DType type, long... shape) {
    long[] gathered = new long[shape.length + 1];
    gathered[0] = world.size();
    System.arraycopy(shape, 0, gathered, 1, shape.length);
    try (Tensor in = Tensor.allocate(type, shape);
        Tensor out = Tensor.allocate(type, gathered)) {
      long n = in.elements();
      for (long i = 0; i < n; i++) {
        in.accessor().setLong(i, bit(world.rank(), i));
      }
      world.allGather(in, out);
      long[] all = out.toLongs();
      for (int r = 0; r < world.size(); r++) {
        for (int i = 0; i < n; i++) {
          assertThat(all[(int) (r * n + i)]).isEqualTo(bit(r, i));
        }
      }
    }
  }

  /** A number that every type can hold. */
  private static long bit(int rank, long i) {
    return (rank * 7L + i * (rank + 3)) / 3 & 1;
  }
}

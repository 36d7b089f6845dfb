package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.lang.ref.WeakReference;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
final class ThreadCommunicatorTest extends CommunicatorContract {
  @Override
  IntStream sizes() {
    return IntStream.of(1, 2, 3, 4, 8);
  }

  @Override
  void run(int size, Scenario scenario) {
    ThreadCommunicator.run(size, scenario::run);
  }

  @Test
  void barrierWaitsForAll() {
    AtomicInteger came = new AtomicInteger();
    ThreadCommunicator.run(
        4,
        world -> {
          for (int i = 1; i <= 200; i++) {
            came.incrementAndGet();
            world.barrier();
            assertThat(came.get()).isGreaterThanOrEqualTo(4 * i);
            world.barrier();
            assertThat(came.get()).isLessThanOrEqualTo(4 * (i + 1));
          }
        });
  }

  @Test
  void rankThatThrowsFailsTheOthers() {
    List<RankFailedException> told = new CopyOnWriteArrayList<>();
    assertThatThrownBy(
            () ->
                ThreadCommunicator.run(
                    4,
                    world -> {
                      if (world.rank() == 2) {
                        throw new UnsupportedOperationException("no expert 7");
                      }
                      try {
                        world.barrier();
                      } catch (RankFailedException e) {
                        told.add(e);
                        throw e;
                      }
                    }))
        .isInstanceOf(UnsupportedOperationException.class)
        .satisfies(e -> assertThat(e.getSuppressed()).hasSize(3));
    assertThat(told)
        .hasSize(3)
        .allSatisfy(e -> assertThat(e.rank()).isEqualTo(2))
        .allSatisfy(
            e ->
                assertThat(e)
                    .hasMessageContaining("rank 2 of 4 failed")
                    .hasMessageContaining("UnsupportedOperationException: no expert 7"));
  }

  @Test
  void rankThatThrowsEndsTransfersUnderWayAndAllThatFollows() {
    assertThatIllegalStateException()
        .isThrownBy(
            () ->
                ThreadCommunicator.run(
                    3,
                    world -> {
                      try (Rows rows = new Rows(world, DType.F32, 64, 9)) {
                        if (world.rank() == 1) {
                          throw new java.io.IOException("disk");
                        }
                        PendingTransfer pending =
                            world.allToAllAsync(rows.send, rows.rowsTo, rows.out, rows.rowsFrom);
                        assertThatThrownBy(pending::await).isInstanceOf(RankFailedException.class);
                        assertThat(pending.isDone()).isTrue();
                        assertThatThrownBy(world::barrier)
                            .isInstanceOf(RankFailedException.class)
                            .hasMessageContaining("rank 1 of 3 failed: java.io.IOException: disk");
                      }
                    }))
        .withMessage("a rank failed: disk");
  }

  @Test
  void rankThatLeavesEarlyIsNamed() {
    ThreadCommunicator.run(
        3,
        world -> {
          world.barrier();
          if (world.rank() != 1) {
            assertThatThrownBy(world::barrier)
                .isInstanceOf(RankFailedException.class)
                .hasMessageContaining("rank 1 of 3 failed: it closed the communicator after 1 op");
          }
        });
  }

  @Test
  void rankThatLeavesAPartEarlyIsNamed() {
    ThreadCommunicator.run(
        4,
        world -> {
          Communicator part = world.split(world.rank() / 2, 0);
          if (world.rank() == 3) {
            part.close();
          }
          assertThatThrownBy(world.rank() == 2 ? part::barrier : world::barrier)
              .isInstanceOf(RankFailedException.class)
              .satisfies(e -> assertThat(((RankFailedException) e).rank()).isEqualTo(3));
        });
  }

  @Test
  void leavingAfterTheLastOperationIsNoFault() {
    ThreadCommunicator.run(
        3,
        world -> {
          for (int i = 0; i < 100; i++) {
            Scenario.gather(world.split(0, 0), DType.F32, 5);
          }
        });
  }

  @Test
  void closedPartsAreForgotten() {
    try (Communicator alone = ThreadCommunicator.group(1).get(0)) {
      WeakReference<Communicator> part = new WeakReference<>(alone.split(0, 0));
      part.get().close();
      while (part.get() != null) {
        System.gc();
      }
      alone.barrier();
    }
  }

  @Test
  void sumsFreeTheirScratchMemoryUnlessARankHasFailed() {
    try (Tensor mine = Tensor.allocate(DType.F64, 2048)) {
      long before = Memory.liveBytes();
      ThreadCommunicator.run(
          2,
          world ->
              assertThatThrownBy(
                      () -> {
                        if (world.rank() == 0) {
                          world.allReduceSum(mine);
                        } else {
                          world.barrier();
                        }
                      })
                  .isInstanceOf(RankMismatchException.class));
      assertThat(Memory.liveBytes()).isEqualTo(before);

      List<Communicator> ranks = ThreadCommunicator.group(2);
      ranks.get(1).fail(new java.io.IOException("disk"));
      assertThatThrownBy(() -> ranks.get(0).allReduceSum(mine))
          .isInstanceOf(RankFailedException.class);
      // Over MPI the rows of the others may still come.
      assertThat(Memory.liveBytes()).isEqualTo(before + 2048 * 8);
      ranks.forEach(Communicator::close);
    }
  }

  @Test
  void closedIsClosed() {
    Communicator alone = ThreadCommunicator.group(1).get(0);
    alone.close();
    assertThatIllegalStateException().isThrownBy(alone::barrier).withMessageContaining("is closed");
    assertThatIllegalStateException().isThrownBy(alone::close).withMessageContaining("already");
    assertThatIllegalArgumentException().isThrownBy(() -> ThreadCommunicator.group(0));
  }

  @Test
  void memoryStaysFlat() {
    FlatMemory.assertFlat(
        "communicator",
        10,
        () ->
            ThreadCommunicator.run(
                2,
                world -> {
                  for (int i = 0; i < 500; i++) {
                    Sums.check(world, DType.F32, 9);
                    Scenario.gather(world, DType.I8, 3);
                  }
                }));
  }
}

package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Runs passes over batches, one after another: sends what they read, records those of one token for
 * each sequence, brings logits to the host. Where ranks share experts out, all run the same ones.
 */
final class StepRunner implements AutoCloseable {
  private final MemoryScope scope = new MemoryScope();
  private final CudaStream stream;
  private final DevicePass pass;
  private final DeviceOperators operators;
  private final SequencePool pool;
  private final @Nullable ExpertRanks ranks;
  private final DeviceScratch scratch;
  private final DecodeGraphs graphs;
  private final FetchedLogits fetched;
  private @Nullable StepInputs inputs;
  private int moves;
  private boolean idle = true;

  StepRunner(DevicePass pass, DeviceOperators operators, SequencePool pool) {
    this.stream = operators.stream();
    this.pass = pass;
    this.operators = operators;
    this.pool = pool;
    this.ranks = operators.ranks();
    this.scratch = scope.add(new DeviceScratch(stream));
    this.graphs = scope.add(new DecodeGraphs(stream));
    this.fetched = scope.add(new FetchedLogits(stream));
  }

  /**
   * The logits of the last row of each sequence, or of all its rows where they are drafted, on the
   * host until the next step.
   */
  Tensor lastLogits(BatchLayout layout) {
    return together(() -> last(layout));
  }

  /** The same of all rows. */
  Tensor allLogits(BatchLayout layout) {
    return together(
        () -> {
          agree(layout, true);
          DeviceStep step = begin(layout);
          return fetch(copied(pass.allLogits(step, rows -> layout.insert(this::upload, rows))));
        });
  }

  /** Brings the states of a slot back, then as {@link DevicePass#commit}. */
  void commit(DeviceDrafts drafts, int slot, int accepted) {
    together(
        () -> {
          drafts.restore(stream, pool.states(), slot);
          pass.commit(operators, pool, drafts, accepted);
          return true;
        });
  }

  /** As {@link FreeRun#milliseconds}. */
  float freeRun(BatchLayout layout, int count) {
    float milliseconds = new FreeRun(pass, begin(layout)).milliseconds(count);
    idle = true;
    return milliseconds;
  }

  private Tensor last(BatchLayout layout) {
    int sequences = layout.shape().sequences();
    boolean decode = layout.shape().stretches() == 0 && !layout.hasPictures();
    // What was recorded neither waits nor allocates: ranks agree while their GPUs work.
    boolean recorded = decode && graphs.isRecorded(sequences, epoch());
    if (!recorded) {
      agree(layout, false);
    }
    DeviceStep step = begin(layout);
    Tensor logits =
        decode ? graphs.run(sequences, this::epoch, () -> run(layout, step)) : run(layout, step);
    if (recorded) {
      agree(layout, false);
    }
    return fetch(logits);
  }

  private Tensor run(BatchLayout layout, DeviceStep step) {
    return copied(pass.lastLogits(step, hidden -> layout.insert(this::upload, hidden)));
  }

  private void agree(BatchLayout layout, boolean all) {
    if (ranks != null) {
      ranks.agree(layout.digest(all));
    }
  }

  /** The logits of the first rank, where there are others. */
  private Tensor copied(Tensor logits) {
    if (ranks != null) {
      ranks.copyFromFirst(logits);
    }
    return logits;
  }

  /** Runs a step; where it fails, no rank waits for this one any more. */
  private <T> T together(Supplier<T> step) {
    try {
      if (ranks != null) {
        ranks.ensureGoing();
      }
      return step.get();
    } catch (RuntimeException | Error e) {
      if (ranks != null) {
        ranks.giveUp(e);
      }
      throw e;
    }
  }

  private DeviceStep begin(BatchLayout layout) {
    int rows = layout.shape().rows();
    if (inputs == null || inputs.capacity() < rows) {
      StepInputs larger = new StepInputs(stream, Math.max(16, rows));
      if (inputs != null) {
        inputs.close();
      }
      inputs = larger;
      moves++;
    }
    if (!idle) {
      stream.synchronize(); // a step that failed half way may still read what is written next
    }
    idle = false;
    layout.fill(inputs);
    pool.pages().publish(stream);
    inputs.send(stream);
    for (Piece piece : layout.pieces()) {
      if (piece.drafts() != null) {
        piece.drafts().keep(stream, pool.states(), piece.memory().slot(), piece.rows());
      }
    }
    return new DeviceStep(layout.shape(), layout.pieces(), inputs, scratch, pool, operators);
  }

  /** Changes when memory that graphs know has moved. */
  private long epoch() {
    return (long) moves + scratch.moves() + pool.states().moves();
  }

  /** Waits for logits and brings them to the host, until the next call. */
  private Tensor fetch(Tensor logits) {
    Tensor here = fetched.from(logits);
    if (ranks != null) {
      ranks.ensureHealthy();
    }
    idle = true;
    return here;
  }

  /** Rows of pictures, rounded; waits, since a picture is read once. */
  private void upload(Tensor from, Tensor to) {
    try (Tensor rounded = Tensor.allocate(DType.BF16, from.shape())) {
      rounded.copyFrom(from);
      stream.copy(rounded, to);
      stream.synchronize();
    }
  }

  @Override
  public void close() {
    if (inputs != null) {
      inputs.close();
    }
    scope.close();
  }
}

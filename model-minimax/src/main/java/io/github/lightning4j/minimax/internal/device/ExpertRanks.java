package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.minimax.internal.ExpertRange;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.CudaRankSum;
import io.github.lightning4j.moe.comm.RankMismatchException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The ranks that share the experts of each layer out, seen from one of them. All run the same
 * steps; each checks that it is so. A step that fails on one rank is over on all.
 */
final class ExpertRanks implements AutoCloseable {
  private final Communicator ranks;
  private final ExpertRange here;
  private final CudaRankSum sums;
  private long steps;
  private @Nullable Throwable end;

  private ExpertRanks(Communicator ranks, ExpertRange here, CudaRankSum sums) {
    this.ranks = ranks;
    this.here = here;
    this.sums = sums;
  }

  /**
   * Connects the GPUs; called by all ranks.
   *
   * @param here the experts of this rank
   * @param stream of the steps
   */
  static ExpertRanks join(Communicator ranks, ExpertRange here, CudaStream stream) {
    return new ExpertRanks(ranks, here, CudaRankSum.open(ranks, stream));
  }

  /** The experts of this rank. */
  ExpertRange here() {
    return here;
  }

  /** The least of a number that each rank has. */
  long least(long own) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor mine = scope.add(Tensor.of(new long[] {own}, 1));
      Tensor all = scope.allocate(DType.I64, ranks.size(), 1);
      ranks.allGather(mine, all);
      return Arrays.stream(all.toLongs()).min().orElseThrow();
    }
  }

  /**
   * Checks that there can be another step, before anything of it reaches the GPU: what was recorded
   * knows sums that are over where a step went wrong.
   *
   * @throws IllegalStateException if a step went wrong before
   * @throws io.github.lightning4j.moe.comm.RankFailedException if a rank has failed
   */
  void ensureGoing() {
    ranks.ensureHealthy();
    if (end != null) {
      throw new IllegalStateException(
          "a step of this model went wrong before; load it again, on all ranks", end);
    }
  }

  /**
   * Checks that all ranks begin the same step.
   *
   * @param what tells steps apart
   * @throws RankMismatchException on all ranks if they do not
   */
  void agree(String what) {
    ranks.checkSame("what a step reads", "step " + steps++ + ": " + what);
  }

  /** Puts the sum of parts on the stream. */
  void add(Tensor part) {
    sums.add(part);
  }

  /** Lets all ranks have the logits of the first, whose sums others may have in another order. */
  void copyFromFirst(Tensor logits) {
    sums.copyFromFirst(logits);
  }

  /** Tells whether what came out of a step can be trusted. */
  void ensureHealthy() {
    sums.ensureHealthy();
  }

  /** A step went wrong here: nobody waits for this rank any more. */
  void giveUp(Throwable cause) {
    if (end == null) {
      end = cause;
      if (!(cause instanceof RankMismatchException)) {
        ranks.fail(cause);
      }
      sums.abort();
    }
  }

  @Override
  public void close() {
    sums.close();
  }
}

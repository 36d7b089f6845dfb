package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.MixtureOfExperts;
import io.github.lightning4j.moe.MoeWorkspace;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.parallel.ExpertParallelism;
import io.github.lightning4j.moe.parallel.ParallelExperts;
import io.github.lightning4j.moe.parallel.ParallelOptions;
import io.github.lightning4j.moe.parallel.ParallelWorkspace;
import io.github.lightning4j.moe.parallel.StepTimes;

/**
 * How long one layer takes: on one rank the plain mixture, on several the parallel one.
 *
 * @param milliseconds of the slowest rank, from the moment that all are ready
 * @param tokensPerSecond tokens of all ranks
 * @param communication share of the time that a rank waits for others, the mean of the ranks
 * @param imbalance token-expert pairs of the busiest rank over the mean; 1 is even
 * @param dropped the fraction of token-expert pairs that nobody computes
 */
record MoeRun(
    Spread milliseconds,
    Spread tokensPerSecond,
    Spread communication,
    double imbalance,
    double dropped) {
  private static final int WARM_UPS = 2;

  /**
   * Measures; called by all ranks, and the same on all.
   *
   * @param repeats measurements, after some that do not count
   */
  static MoeRun measure(
      Communicator world,
      ExpertParallelism sizes,
      MoeShape shape,
      ParallelOptions options,
      int repeats) {
    sizes.check(shape.experts(), shape.intermediate());
    int rank = world.rank();
    int each = shape.experts() / sizes.ep();
    int own = (int) (share(shape, world, rank + 1) - share(shape, world, rank));
    try (MemoryScope scope = new MemoryScope()) {
      int first = sizes.epRank(rank) * each;
      Experts local = shape.weights(scope, first, each, shape.intermediate() / sizes.etp());
      Batch batch = Batch.of(shape, scope, own, rank);
      double[] mine = new double[3 * repeats];
      try (Layer layer =
          world.size() == 1
              ? new SingleLayer(local, options)
              : new ParallelLayer(
                  ParallelExperts.of(
                      world, sizes, shape.experts(), local, options, shape.toString()),
                  new ParallelWorkspace())) {
        for (int repeat = -WARM_UPS; repeat < repeats; repeat++) {
          world.barrier();
          StepTimes times = layer.forward(batch);
          if (repeat >= 0) {
            mine[3 * repeat] = times.totalNanos();
            mine[3 * repeat + 1] = times.waitFraction();
            mine[3 * repeat + 2] = times.rows();
          }
        }
      }
      long pairs = (long) shape.tokens() * shape.topK() * sizes.etp();
      return of(gathered(world, scope, mine), world.size(), shape.tokens(), pairs);
    }
  }

  /** The tokens of the ranks before this one. */
  private static long share(MoeShape shape, Communicator world, int rank) {
    return (long) rank * shape.tokens() / world.size();
  }

  /** The tokens of one rank. */
  private record Batch(Tensor x, Tensor index, Tensor weight, Tensor out) {
    static Batch of(MoeShape shape, MemoryScope scope, int tokens, int rank) {
      return new Batch(
          shape.tokens(scope, tokens, rank),
          shape.index(scope, tokens, rank),
          shape.weight(scope, tokens),
          scope.allocate(DType.F32, tokens, shape.hidden()));
    }
  }

  /** What is measured. */
  private interface Layer extends AutoCloseable {
    StepTimes forward(Batch batch);

    @Override
    void close();
  }

  private record ParallelLayer(ParallelExperts experts, ParallelWorkspace workspace)
      implements Layer {
    @Override
    public StepTimes forward(Batch batch) {
      experts.forward(batch.x, batch.index, batch.weight, workspace, batch.out);
      return experts.times();
    }

    @Override
    public void close() {
      experts.close();
      workspace.close();
    }
  }

  /** The layer of one rank, without any exchange. */
  private record SingleLayer(Experts weights, ParallelOptions options, MoeWorkspace workspace)
      implements Layer {
    SingleLayer(Experts weights, ParallelOptions options) {
      this(weights, options, new MoeWorkspace());
    }

    @Override
    public StepTimes forward(Batch batch) {
      long start = System.nanoTime();
      DispatchPlan plan = workspace.plan();
      Capacity capacity = options.capacity();
      if (capacity == null) {
        plan.build(batch.index, weights.experts());
      } else {
        plan.build(batch.index, weights.experts(), capacity, batch.weight);
      }
      MixtureOfExperts.best().forward(batch.x, weights, plan, batch.weight, workspace, batch.out);
      return new StepTimes(System.nanoTime() - start, 0, plan.kept());
    }

    @Override
    public void close() {
      workspace.close();
    }
  }

  private static double[] gathered(Communicator world, MemoryScope scope, double[] mine) {
    Tensor all = scope.allocate(DType.F64, world.size(), mine.length);
    world.allGather(scope.add(Tensor.of(mine, mine.length)), all);
    return all.toDoubles();
  }

  /** From what each rank measured; each of the pairs is a row of one rank if none is dropped. */
  private static MoeRun of(double[] all, int ranks, int tokens, long pairs) {
    int repeats = all.length / ranks / 3;
    double[] milliseconds = new double[repeats];
    double[] speed = new double[repeats];
    double[] waiting = new double[repeats];
    double most = 0;
    double sum = 0;
    for (int repeat = 0; repeat < repeats; repeat++) {
      for (int rank = 0; rank < ranks; rank++) {
        int at = 3 * (rank * repeats + repeat);
        milliseconds[repeat] = Math.max(milliseconds[repeat], all[at] / 1e6);
        waiting[repeat] += all[at + 1] / ranks;
        most = Math.max(most, all[at + 2]);
        sum += all[at + 2];
      }
      speed[repeat] = tokens * 1e3 / milliseconds[repeat];
    }
    double imbalance = sum == 0 ? 1 : most * ranks * repeats / sum;
    double dropped = 1 - sum / repeats / pairs;
    return new MoeRun(
        Spread.of(milliseconds), Spread.of(speed), Spread.of(waiting), imbalance, dropped);
  }
}

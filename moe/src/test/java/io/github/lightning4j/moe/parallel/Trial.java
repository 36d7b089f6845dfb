package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.balance.GlobalRouter;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.parallel.Layer.Load;
import java.util.List;
import java.util.stream.Stream;

/**
 * One layer on the ranks, held against a single rank that has the tokens of a whole EDP repetition.
 */
record Trial(Communicator world, ExpertParallelism sizes, ParallelOptions options) {
  private static final int TOKENS = 110;

  /** Whole experts, one repetition. */
  static Trial of(Communicator world, ParallelOptions options) {
    return new Trial(world, ExpertParallelism.of(world.size()), options);
  }

  void forward(Load load, DType dtype) {
    try (Layer layer = new Layer(TOKENS, dtype, load);
        ParallelWorkspace workspace = new ParallelWorkspace();
        ParallelExperts experts = join(layer)) {
      Tensor x = mine(layer, layer.x);
      long held = 0;
      for (int call = 0; call < 2; call++) {
        Tensor out = layer.scope.allocate(DType.F32, x.shape());
        experts.forward(x, mine(layer, layer.index), mine(layer, layer.weight), workspace, out);
        Tensor all =
            layer.answer(
                layer.weights, whole(layer, layer.x), plan(layer), whole(layer, layer.weight));
        String what = this + " " + load + " " + dtype;
        if (isExact()) {
          Layer.assertSame(what, out, ofWhole(layer, all));
        } else {
          Layer.assertClose(what, out, ofWhole(layer, all));
        }
        assertThat(workspace.bytes()).isPositive();
        assertThat(call == 0 || workspace.bytes() == held)
            .as("a warm workspace has what it needs")
            .isTrue();
        held = workspace.bytes();
      }
      long[] rows = {experts.times().rows()};
      try (Tensor sum = Tensor.of(rows, 1)) {
        world.allReduceSum(sum);
        assertThat(sum.toLongs()[0]).isEqualTo(keptByAll(layer) * sizes.etp());
      }
      assertThat(experts.times().waitFraction()).isBetween(0.0, 1.0);
    }
  }

  void backward(Load load) {
    try (Layer layer = new Layer(TOKENS, DType.F32, load);
        ParallelExperts experts = join(layer)) {
      Tensor dOut = Gradients.ofOutputs(layer);
      Tensor x = mine(layer, layer.x);
      Tensor weight = mine(layer, layer.weight);
      ExpertWeights local = local(layer);
      Gradients got = new Gradients(layer, x, weight, local);
      got.run(experts, x, mine(layer, layer.index), weight, mine(layer, dOut));
      Gradients expected =
          Gradients.single(
              layer,
              whole(layer, layer.x),
              plan(layer),
              whole(layer, layer.weight),
              whole(layer, dOut));
      check("dx", got.dx, ofWhole(layer, expected.dx));
      check("dWeight", got.dWeight, ofWhole(layer, expected.dWeight));
      if (!options.globalRouter()) { // else a repetition has other tokens than its own
        checkWeights(got, expected);
      }
      experts.sumOverReplicas(got.dGate);
      experts.sumOverReplicas(got.dUp);
      experts.sumOverReplicas(got.dDown);
      checkSums(layer, got, dOut);
    }
  }

  private void checkWeights(Gradients got, Gradients expected) {
    ExpertWeights part = shard(new ExpertWeights(expected.dGate, expected.dUp, expected.dDown));
    for (int e = 0; e < part.experts(); e++) {
      check("dGate", got.dGate.get(e), part.gate().get(e));
      check("dUp", got.dUp.get(e), part.up().get(e));
      check("dDown", got.dDown.get(e), part.down().get(e));
    }
  }

  /** After the sum over repetitions: the gradients of all their tokens. */
  private void checkSums(Layer layer, Gradients got, Tensor dOut) {
    Gradients[] each = new Gradients[sizes.edp()];
    for (int r = 0; r < sizes.edp(); r++) {
      each[r] =
          Gradients.single(
              layer,
              ofRepetition(layer, layer.x, r),
              plan(layer, r),
              ofRepetition(layer, layer.weight, r),
              ofRepetition(layer, dOut, r));
    }
    List<ExpertWeights> parts =
        Stream.of(each).map(g -> shard(new ExpertWeights(g.dGate, g.dUp, g.dDown))).toList();
    checkSum("dGate", layer, got.dGate, parts.stream().map(ExpertWeights::gate).toList());
    checkSum("dUp", layer, got.dUp, parts.stream().map(ExpertWeights::up).toList());
    checkSum("dDown", layer, got.dDown, parts.stream().map(ExpertWeights::down).toList());
  }

  private static void checkSum(
      String what, Layer layer, List<Tensor> got, List<List<Tensor>> parts) {
    for (int e = 0; e < got.size(); e++) {
      double[] sum = new double[(int) got.get(e).elements()];
      for (List<Tensor> part : parts) {
        double[] more = part.get(e).toDoubles();
        for (int i = 0; i < sum.length; i++) {
          sum[i] += more[i];
        }
      }
      Layer.assertClose(
          "summed " + what, got.get(e), layer.scope.add(Tensor.of(sum, got.get(e).shape())));
    }
  }

  private void check(String what, Tensor got, Tensor expected) {
    if (isExact()) {
      Layer.assertSame(what + " " + this, got, expected);
    } else {
      Layer.assertClose(what + " " + this, got, expected);
    }
  }

  private boolean isExact() {
    ReplicaPlacement placement = options.placement();
    boolean replicas =
        placement != null && placement.physicalToLogical().length > placement.experts();
    boolean whole = options.tokenGroups() <= Layer.EXPERTS / sizes.ep();
    return sizes.etp() == 1 && whole && !options.globalRouter() && !replicas;
  }

  private ParallelExperts join(Layer layer) {
    return ParallelExperts.of(world, sizes, Layer.EXPERTS, local(layer), options, "layer 0");
  }

  private ExpertWeights local(Layer layer) {
    return shard(layer.weights);
  }

  private ExpertWeights shard(ExpertWeights all) {
    ReplicaPlacement placement = options.placement();
    return placement == null
        ? sizes.shard(all, world.rank())
        : sizes.shard(all, world.rank(), placement);
  }

  private int each() {
    return sizes.ep() * sizes.etp();
  }

  private int repetition() {
    return sizes.edpRank(world.rank());
  }

  private Tensor mine(Layer layer, Tensor rows) {
    return layer.part(rows, world.rank(), world.size());
  }

  private Tensor whole(Layer layer, Tensor rows) {
    return ofRepetition(layer, rows, repetition());
  }

  private Tensor ofRepetition(Layer layer, Tensor rows, int number) {
    return layer.part(rows, number * each(), each(), world.size());
  }

  /** This rank's rows of those of its repetition. */
  private Tensor ofWhole(Layer layer, Tensor rows) {
    int before = layer.first(repetition() * each(), world.size());
    int from = layer.first(world.rank(), world.size());
    int to = layer.first(world.rank() + 1, world.size());
    return rows.narrow(0, from - before, to - from);
  }

  private DispatchPlan plan(Layer layer) {
    return plan(layer, repetition());
  }

  private DispatchPlan plan(Layer layer, int number) {
    Tensor index = ofRepetition(layer, layer.index, number);
    Tensor weight = ofRepetition(layer, layer.weight, number);
    Capacity capacity = options.capacity();
    DispatchPlan plan = new DispatchPlan();
    if (capacity == null) {
      plan.build(index, Layer.EXPERTS);
    } else if (options.globalRouter()) {
      GlobalRouter router = router(layer, capacity);
      router.dispatch(number, index, weight, capacity.priority(), plan);
      assertThat(router.transfers()).isNotEmpty();
    } else {
      plan.build(index, Layer.EXPERTS, capacity, weight);
    }
    return plan;
  }

  private GlobalRouter router(Layer layer, Capacity capacity) {
    int[][] counts = new int[sizes.edp()][];
    DispatchPlan plan = new DispatchPlan();
    for (int r = 0; r < counts.length; r++) {
      plan.build(ofRepetition(layer, layer.index, r), Layer.EXPERTS);
      counts[r] = plan.counts();
    }
    int mean = (layer.tokens + counts.length - 1) / counts.length;
    return GlobalRouter.of(counts, capacity.limit(mean, layer.slots, Layer.EXPERTS));
  }

  private long keptByAll(Layer layer) {
    long kept = 0;
    for (int r = 0; r < sizes.edp(); r++) {
      kept += plan(layer, r).kept();
    }
    return kept;
  }
}

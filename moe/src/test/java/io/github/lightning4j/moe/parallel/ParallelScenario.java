package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.Capacity.Priority;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.parallel.Layer.Load;
import java.util.List;

/** What a layer on 2, 4 or 8 ranks must do: run by all ranks, one after the other. */
enum ParallelScenario {
  HAS_THE_BITS_OF_A_SINGLE_RANK {
    @Override
    void run(Communicator world) {
      for (Load load : Load.values()) {
        for (int groups : new int[] {1, 3}) {
          Trial trial = Trial.of(world, ParallelOptions.DEFAULT.withTokenGroups(groups));
          trial.forward(load, DType.F32);
        }
        Trial.of(world, ParallelOptions.DEFAULT.withTokenGroups(2)).forward(load, DType.BF16);
      }
    }
  },
  DROPS_WHAT_A_SINGLE_RANK_DROPS {
    @Override
    void run(Communicator world) {
      for (Load load : Load.values()) {
        for (Priority priority : Priority.values()) {
          Capacity capacity = new Capacity(0.9, priority, 2);
          Trial.of(world, ParallelOptions.DEFAULT.withCapacity(capacity)).forward(load, DType.F32);
        }
      }
    }
  },
  CUTS_EXPERTS {
    @Override
    void run(Communicator world) {
      for (int etp = 2; etp <= world.size(); etp *= 2) {
        ExpertParallelism sizes = new ExpertParallelism(world.size() / etp, etp, 1);
        for (Load load : Load.values()) {
          new Trial(world, sizes, ParallelOptions.DEFAULT.withTokenGroups(2))
              .forward(load, DType.F32);
        }
        new Trial(world, sizes, ParallelOptions.DEFAULT.withCapacity(Capacity.ofFactor(1)))
            .backward(Load.SKEWED);
      }
    }
  },
  REPEATS_EXPERTS {
    @Override
    void run(Communicator world) {
      ExpertParallelism sizes = new ExpertParallelism(world.size() / 2, 1, 2);
      for (Load load : Load.values()) {
        new Trial(world, sizes, ParallelOptions.DEFAULT).forward(load, DType.F32);
      }
      ParallelOptions tight = ParallelOptions.DEFAULT.withCapacity(Capacity.ofFactor(1));
      new Trial(world, sizes, tight).forward(Load.SKEWED, DType.F32);
      new Trial(world, sizes, tight).backward(Load.EVEN);
    }
  },
  DIFFERENTIATES {
    @Override
    void run(Communicator world) {
      for (Load load : Load.values()) {
        Trial.of(world, ParallelOptions.DEFAULT).backward(load);
      }
      Trial.of(world, ParallelOptions.DEFAULT.withCapacity(Capacity.ofFactor(0.8)))
          .backward(Load.SKEWED);
    }
  },
  SERVES_QUANTIZED_EXPERTS {
    @Override
    void run(Communicator world) {
      ExpertParallelism sizes = ExpertParallelism.of(world.size());
      for (QuantFormat format : List.of(QuantFormat.int8(), QuantFormat.int4(32))) {
        try (Layer layer = new Layer(90, DType.F32, Load.SKEWED);
            QuantizedExpertWeights all = QuantizedExpertWeights.quantize(layer.weights, format);
            QuantizedExpertWeights mine =
                QuantizedExpertWeights.quantize(sizes.shard(layer.weights, world.rank()), format)) {
          ParallelOptions options =
              ParallelOptions.DEFAULT.withTokenGroups(Math.min(2, mine.experts()));
          DispatchPlan plan = new DispatchPlan();
          plan.build(layer.index, Layer.EXPERTS);
          assertAnswers(world, layer, all, mine, options, plan);
          Capacity capacity = Capacity.ofFactor(0.9);
          plan.build(layer.index, Layer.EXPERTS, capacity, layer.weight);
          assertThat(plan.kept()).isLessThan(plan.size());
          assertAnswers(world, layer, all, mine, options.withCapacity(capacity), plan);
        }
      }
    }
  },
  PLACES_EXPERTS_BY_LOAD {
    @Override
    void run(Communicator world) {
      double[] load = {9, 1, 2, 30, 4, 5, 50, 3};
      int ep = world.size();
      ParallelOptions moved =
          ParallelOptions.DEFAULT.withPlacement(ReplicaPlacement.flat(load, 8, ep));
      Trial.of(world, moved).forward(Load.SKEWED, DType.F32);
      Trial.of(world, moved).backward(Load.SKEWED);
      ParallelOptions replicated =
          ParallelOptions.DEFAULT
              .withTokenGroups(2)
              .withPlacement(ReplicaPlacement.flat(load, 16, ep));
      Trial.of(world, replicated).forward(Load.ONE_TAKES_ALL, DType.F32);
      assertThatThrownBy(() -> Trial.of(world, replicated).backward(Load.EVEN))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("train without replicas");
    }
  },
  ROUTES_GLOBALLY {
    @Override
    void run(Communicator world) {
      ExpertParallelism sizes = new ExpertParallelism(world.size() / 2, 1, 2);
      for (Priority priority : Priority.values()) {
        ParallelOptions options =
            ParallelOptions.DEFAULT.withGlobalRouter(new Capacity(1.1, priority, 0));
        new Trial(world, sizes, options).forward(Load.SKEWED, DType.F32);
        new Trial(world, sizes, options).backward(Load.SKEWED);
      }
    }
  },
  SUMS_AUXILIARY_LOSSES {
    @Override
    void run(Communicator world) {
      AuxiliaryLosses.check(world);
    }
  },
  REFUSES_RANKS_THAT_DIFFER {
    @Override
    void run(Communicator world) {
      boolean odd = world.rank() == 1;
      ParallelOptions other = ParallelOptions.DEFAULT.withTokenGroups(2);
      assertRefused(
          world, odd ? other : ParallelOptions.DEFAULT, "a", "expert parallelism differs");
      assertRefused(world, ParallelOptions.DEFAULT, odd ? "b" : "a", "checkpoint differs");
      String text = "x".repeat(5000);
      assertRefused(world, ParallelOptions.DEFAULT, odd ? text + "y" : text, "checkpoint differs");
      ExpertParallelism sizes = ExpertParallelism.of(world.size());
      try (Layer layer = new Layer(4, DType.F32, Load.EVEN)) {
        Experts local = odd ? layer.weights : sizes.shard(layer.weights, world.rank());
        assertRefused(
            world, sizes, local, ParallelOptions.DEFAULT, "a", "expert parallelism differs");
      }
    }
  };

  abstract void run(Communicator world);

  private static void assertRefused(
      Communicator world, ParallelOptions options, String checkpoint, String message) {
    ExpertParallelism sizes = ExpertParallelism.of(world.size());
    try (Layer layer = new Layer(4, DType.F32, Load.EVEN)) {
      ExpertWeights local = sizes.shard(layer.weights, world.rank());
      assertRefused(world, sizes, local, options, checkpoint, message);
    }
  }

  private static void assertRefused(
      Communicator world,
      ExpertParallelism sizes,
      Experts local,
      ParallelOptions options,
      String checkpoint,
      String message) {
    assertThatThrownBy(
            () -> ParallelExperts.of(world, sizes, Layer.EXPERTS, local, options, checkpoint))
        .isInstanceOf(RankMismatchException.class)
        .hasMessageContaining(message)
        .hasMessageContaining("rank 1");
  }

  /** That a layer gives the bits of a single rank with all experts and this plan. */
  private static void assertAnswers(
      Communicator world,
      Layer layer,
      Experts all,
      Experts mine,
      ParallelOptions options,
      DispatchPlan plan) {
    ExpertParallelism sizes = ExpertParallelism.of(world.size());
    try (ParallelWorkspace workspace = new ParallelWorkspace();
        ParallelExperts experts =
            ParallelExperts.of(world, sizes, Layer.EXPERTS, mine, options, "q")) {
      Tensor x = layer.part(layer.x, world.rank(), world.size());
      Tensor out = layer.scope.allocate(DType.F32, x.shape());
      experts.forward(
          x,
          layer.part(layer.index, world.rank(), world.size()),
          layer.part(layer.weight, world.rank(), world.size()),
          workspace,
          out);
      Tensor expected = layer.answer(all, layer.x, plan, layer.weight);
      Layer.assertSame(options.toString(), out, layer.part(expected, world.rank(), world.size()));
    }
  }
}

package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.comm.ThreadCommunicator;
import io.github.lightning4j.moe.parallel.Layer.Load;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The contract between threads, and what needs no processes. */
@Timeout(120)
final class ThreadParallelExpertsTest extends ParallelExpertsContract {
  @Override
  void run(int size, ParallelScenario scenario) {
    ThreadCommunicator.run(size, scenario::run);
  }

  @Test
  void worldOfOneIsTheSingleRank() {
    ThreadCommunicator.run(
        1,
        world -> {
          for (Load load : Load.values()) {
            Trial.of(world, ParallelOptions.DEFAULT.withTokenGroups(3)).forward(load, DType.F32);
            Trial.of(world, ParallelOptions.DEFAULT).backward(load);
          }
        });
  }

  @Test
  void allThreeSizesTogether() {
    ThreadCommunicator.run(
        8,
        world -> {
          Trial trial = new Trial(world, new ExpertParallelism(2, 2, 2), ParallelOptions.DEFAULT);
          trial.forward(Load.SKEWED, DType.F32);
          trial.backward(Load.SKEWED);
        });
  }

  @Test
  void rankThatLeavesIsNamed() {
    List<Integer> named = new CopyOnWriteArrayList<>();
    ThreadCommunicator.run(
        4,
        world -> {
          try (Layer layer = new Layer(50, DType.F32, Load.EVEN);
              ParallelExperts experts = join(world, layer)) {
            if (world.rank() == 2) {
              return;
            }
            assertThatThrownBy(() -> forward(world, layer, experts))
                .isInstanceOfSatisfying(RankFailedException.class, e -> named.add(e.rank()));
          }
        });
    assertThat(named).containsExactly(2, 2, 2);
  }

  @Test
  void rankThatRefusesItsArgumentsTellsTheOthers() {
    for (ParallelOptions options :
        List.of(
            ParallelOptions.DEFAULT,
            ParallelOptions.DEFAULT.withCapacity(Capacity.ofFactor(0.9)))) {
      refuseOnRank3(options, layer -> layer.index.accessor().setLong(2 * layer.tokens - 1, -1));
    }
  }

  /** The layer refuses, on every rank; with the arguments mended it answers. */
  private static void refuseOnRank3(ParallelOptions options, Consumer<Layer> spoil) {
    ThreadCommunicator.run(
        4,
        world -> {
          try (Layer layer = new Layer(50, DType.F32, Load.EVEN);
              Layer good = new Layer(50, DType.F32, Load.EVEN);
              ParallelExperts experts = join(world, good, options)) {
            boolean odd = world.rank() == 3;
            if (odd) {
              spoil.accept(layer);
            }
            for (int call = 0; call < 2; call++) {
              assertThatThrownBy(() -> forward(world, layer, experts))
                  .isInstanceOf(odd ? IllegalArgumentException.class : RankMismatchException.class)
                  .hasMessageContaining("expected 0 <= expert < 8, got -1");
              assertThatThrownBy(() -> backward(world, layer, experts))
                  .isInstanceOf(odd ? IllegalArgumentException.class : RankMismatchException.class)
                  .hasMessageContaining("expected 0 <= expert < 8, got -1");
            }
            forward(world, good, experts);
          }
        });
  }

  @Test
  void ranksThatDifferInChoicesLeaveNothingBehind() {
    ParallelOptions options = ParallelOptions.DEFAULT.withCapacity(Capacity.ofFactor(0.9));
    FlatMemory.assertFlat(
        "capacity of ranks that differ",
        3,
        () ->
            ThreadCommunicator.run(
                2,
                world -> {
                  Load load = world.rank() == 0 ? Load.EVEN : Load.ONE_TAKES_ALL; // k = 2 and 1
                  try (Layer layer = new Layer(50, DType.F32, load);
                      ParallelWorkspace workspace = new ParallelWorkspace();
                      ParallelExperts experts = join(world, layer, options)) {
                    assertThatThrownBy(
                            () ->
                                experts.forward(
                                    layer.x,
                                    layer.index,
                                    layer.weight,
                                    workspace,
                                    layer.scope.allocate(DType.F32, layer.x.shape())))
                        .isInstanceOf(RankMismatchException.class);
                  }
                }));
  }

  @Test
  void refusesGradientsThatOverlap() {
    ThreadCommunicator.run(
        1,
        world -> {
          try (Layer layer = new Layer(6, DType.F32, Load.EVEN);
              ParallelExperts experts = join(world, layer)) {
            Gradients out = new Gradients(layer, layer.x, layer.weight, layer.weights);
            Tensor dOut = Gradients.ofOutputs(layer);
            out.dUp.set(2, out.dGate.get(5));
            assertThatIllegalArgumentException()
                .isThrownBy(() -> out.run(experts, layer.x, layer.index, layer.weight, dOut))
                .withMessageContaining("outDUp[2]: must not overlap outDGate[5]");
          }
        });
  }

  @Test
  void oneWorkspaceServesSeveralLayers() {
    ThreadCommunicator.run(
        2,
        world -> {
          try (Layer layer = new Layer(40, DType.F32, Load.SKEWED);
              ParallelWorkspace workspace = new ParallelWorkspace();
              ParallelExperts first = join(world, layer);
              ParallelExperts second = join(world, layer)) {
            Tensor x = layer.part(layer.x, world.rank(), 2);
            Tensor index = layer.part(layer.index, world.rank(), 2);
            Tensor weight = layer.part(layer.weight, world.rank(), 2);
            Tensor out = layer.scope.allocate(DType.F32, x.shape());
            first.forward(x, index, weight, workspace, out);
            long bytes = workspace.bytes();
            second.forward(x, index, weight, workspace, out);
            assertThat(workspace.bytes()).isEqualTo(bytes);
            Layer.assertSame(
                "second", out, layer.part(layer.answer(layer.weights), world.rank(), 2));
          }
        });
  }

  @Test
  void closedWorkspaceIsRefused() {
    ParallelWorkspace workspace = new ParallelWorkspace();
    workspace.close();
    assertThatIllegalStateException().isThrownBy(workspace::close).withMessageContaining("already");
    assertThatIllegalStateException()
        .isThrownBy(workspace::buffers)
        .withMessage("workspace is closed");
  }

  @Test
  void memoryStaysFlat() {
    FlatMemory.assertFlat(
        "parallel experts",
        5,
        () ->
            ThreadCommunicator.run(
                2,
                world -> {
                  for (Load load : Load.values()) {
                    Trial.of(world, ParallelOptions.DEFAULT).forward(load, DType.F32);
                    Trial.of(world, ParallelOptions.DEFAULT).backward(load);
                  }
                }));
  }

  @Test
  void refusesWhatDoesNotFit() {
    ThreadCommunicator.run(
        1,
        world -> {
          try (Layer layer = new Layer(6, DType.F32, Load.EVEN);
              ParallelWorkspace workspace = new ParallelWorkspace();
              Tensor out = Tensor.allocate(DType.F32, 6, Layer.HIDDEN)) {
            ParallelExperts experts = join(world, layer);
            assertThatIllegalArgumentException()
                .isThrownBy(
                    () -> experts.forward(layer.x, layer.index, layer.weight, workspace, layer.x))
                .withMessageContaining("out: must not overlap");
            assertThatIllegalArgumentException()
                .isThrownBy(
                    () ->
                        experts.forward(
                            layer.x.narrow(1, 0, 8), layer.index, layer.weight, workspace, out))
                .withMessageContaining("x: expected shape [6, 40], got [6, 8]");
            layer.index.accessor().setLong(3, Layer.EXPERTS);
            assertThatIllegalArgumentException()
                .isThrownBy(
                    () -> experts.forward(layer.x, layer.index, layer.weight, workspace, out))
                .withMessageContaining("index[1, 1]: expected 0 <= expert < 8, got 8");
            experts.close();
            assertThatIllegalStateException().isThrownBy(experts::close);
            assertThatIllegalStateException()
                .isThrownBy(
                    () -> experts.forward(layer.x, layer.index, layer.weight, workspace, out))
                .withMessage("layer is closed");
          }
        });
  }

  private static ParallelExperts join(Communicator world, Layer layer) {
    return join(world, layer, ParallelOptions.DEFAULT);
  }

  private static ParallelExperts join(Communicator world, Layer layer, ParallelOptions options) {
    ExpertParallelism sizes = ExpertParallelism.of(world.size());
    return ParallelExperts.of(
        world, sizes, Layer.EXPERTS, sizes.shard(layer.weights, world.rank()), options, "layer 0");
  }

  private static void forward(Communicator world, Layer layer, ParallelExperts experts) {
    Tensor x = layer.part(layer.x, world.rank(), world.size());
    try (ParallelWorkspace workspace = new ParallelWorkspace()) {
      experts.forward(
          x,
          layer.part(layer.index, world.rank(), world.size()),
          layer.part(layer.weight, world.rank(), world.size()),
          workspace,
          layer.scope.allocate(DType.F32, x.shape()));
    }
  }

  private static void backward(Communicator world, Layer layer, ParallelExperts experts) {
    Tensor x = layer.part(layer.x, world.rank(), world.size());
    Tensor weight = layer.part(layer.weight, world.rank(), world.size());
    ExpertWeights local = ExpertParallelism.of(world.size()).shard(layer.weights, world.rank());
    new Gradients(layer, x, weight, local)
        .run(
            experts,
            x,
            layer.part(layer.index, world.rank(), world.size()),
            weight,
            layer.part(Gradients.ofOutputs(layer), world.rank(), world.size()));
  }
}

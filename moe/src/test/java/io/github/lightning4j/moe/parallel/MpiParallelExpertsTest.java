package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.comm.MpiCommunicator;
import io.github.lightning4j.moe.comm.MpiJob;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.parallel.Layer.Load;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The contract between processes; each job runs all scenarios. */
final class MpiParallelExpertsTest extends ParallelExpertsContract {
  private final Map<Integer, MpiJob.Result> jobs = new HashMap<>();

  @BeforeEach
  void assumeMpi() {
    MpiJob.assume();
  }

  /** What each rank does. */
  static final class AllScenarios {
    public static void main(String[] arguments) throws Exception {
      MpiCommunicator.run(
          world -> {
            for (ParallelScenario scenario : ParallelScenario.values()) {
              scenario.run(world);
              MpiJob.say("rank " + world.rank() + " passed " + scenario);
            }
          });
    }
  }

  @Override
  void run(int size, ParallelScenario scenario) {
    MpiJob.Result job =
        jobs.computeIfAbsent(
            size, n -> new MpiJob().with("--enable-recovery").run(n, AllScenarios.class));
    job.assertPassed(size, scenario);
  }

  /** What each rank does until rank 1 is killed in the midst of it. */
  static final class Killed {
    public static void main(String[] arguments) throws Exception {
      MpiCommunicator.run(
          world -> {
            ExpertParallelism sizes = ExpertParallelism.of(world.size());
            try (Layer layer = new Layer(400, DType.F32, Load.EVEN);
                ParallelWorkspace workspace = new ParallelWorkspace();
                ParallelExperts experts =
                    ParallelExperts.of(
                        world,
                        sizes,
                        Layer.EXPERTS,
                        sizes.shard(layer.weights, world.rank()),
                        ParallelOptions.DEFAULT.withTokenGroups(2),
                        "layer 0")) {
              Tensor x = layer.part(layer.x, world.rank(), world.size());
              Tensor index = layer.part(layer.index, world.rank(), world.size());
              Tensor weight = layer.part(layer.weight, world.rank(), world.size());
              Tensor out = layer.scope.allocate(DType.F32, x.shape());
              for (int call = 0; ; call++) {
                if (call == 5 && world.rank() == 1) {
                  long pid = ProcessHandle.current().pid();
                  new ProcessBuilder("kill", "-KILL", "" + pid).start();
                }
                experts.forward(x, index, weight, workspace, out);
              }
            } catch (RankFailedException e) {
              MpiJob.say("rank " + world.rank() + " says: " + e.getMessage());
              throw e;
            }
          });
    }
  }

  @Test
  void killedRankIsNamedByTheOthers() {
    MpiJob.Result job = new MpiJob().with("--enable-recovery").run(4, Killed.class);
    job.assertExit(1, 137);
    for (int rank : new int[] {0, 2, 3}) {
      assertThat(job.output())
          .contains(
              "rank "
                  + rank
                  + " says: rank 1 of 4 failed: its process ended without closing the communicator");
      job.assertExit(rank, 1);
    }
  }
}

package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.lang.management.ManagementFactory;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The contract in jobs of 1, 2 and 4 processes; each job runs all scenarios. */
final class MpiCommunicatorTest extends CommunicatorContract {
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
            for (Scenario scenario : Scenario.values()) {
              scenario.run(world);
              MpiJob.say("rank " + world.rank() + " passed " + scenario);
            }
          });
    }
  }

  @Override
  IntStream sizes() {
    return IntStream.of(1, 2, 4);
  }

  @Override
  void run(int size, Scenario scenario) {
    MpiJob.Result job =
        jobs.computeIfAbsent(size, ranks -> new MpiJob().run(ranks, AllScenarios.class));
    job.assertPassed(size, scenario);
  }

  @Test
  void worksOverTcp() {
    MpiJob.Result job = new MpiJob().with("--mca", "btl", "tcp,self").run(2, AllScenarios.class);
    assertThat(job.status()).as(job.output()).isZero();
  }

  /** Sends more bytes than an int can count. */
  static final class Huge {
    private static final long STEP = 1021;

    public static void main(String[] arguments) throws Exception {
      long bytes = (1L << 31) + 4099;
      MpiCommunicator.run(
          world -> {
            boolean sends = world.rank() == 0;
            try (Tensor send = Tensor.allocate(DType.U8, sends ? bytes : 0);
                Tensor out = Tensor.allocate(DType.U8, sends ? 0 : bytes)) {
              Elements sent = send.accessor();
              for (long at = 0; at < send.elements(); at += STEP) {
                sent.setLong(at, at % 251);
              }
              long[] to = {0, sends ? bytes : 0};
              long[] from = {sends ? 0 : bytes, 0};
              world.allToAll(send, to, out, from);
              Elements came = out.accessor();
              for (long at = 0; at < out.elements(); at += STEP) {
                if (came.getLong(at) != at % 251) {
                  throw new AssertionError("wrong byte at " + at);
                }
              }
              MpiJob.say("rank " + world.rank() + " is content");
            }
          });
    }
  }

  @Test
  void messagesOfMoreThanTwoGibibytesArrive() {
    var system =
        (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    Assumptions.assumeTrue(
        system.getFreeMemorySize() > 8L << 30, "8 GiB of free memory are wanted");
    MpiJob.Result job = new MpiJob().run(2, Huge.class);
    assertThat(job.output()).contains("rank 0 is content").contains("rank 1 is content");
    assertThat(job.status()).isZero();
  }

  @Test
  void aProcessStartedByItselfIsAWorldOfOne() {
    Assumptions.assumeFalse(MpiCommunicator.isLaunched());
    try (Communicator world = MpiCommunicator.world()) {
      assertThat(world.size()).isEqualTo(1);
      Scenario.gather(world, DType.F32, 3);
    }
  }
}

package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Sums over two GPUs, whose ranks are threads. */
@RequiresCuda
@Timeout(120)
final class CudaRankSumDeviceTest {
  @BeforeAll
  static void needsTwoGpus() {
    assumeTrue(CudaDevice.count() >= 2, "one GPU");
    assumeTrue(
        NcclCommunicator.availability().isAvailable(),
        () -> NcclCommunicator.availability().reason());
  }

  /** What a rank does with its sums. */
  private interface Task {
    void run(CudaRankSum sums, CudaStream stream) throws Exception;
  }

  private static void onTwoGpus(Task task) {
    ThreadCommunicator.run(
        2,
        ranks -> {
          try (CudaStream stream = CudaStream.open(CudaDevice.of(ranks.rank()));
              CudaRankSum sums = CudaRankSum.open(ranks, stream)) {
            task.run(sums, stream);
          }
        });
  }

  private static Tensor allocate(CudaStream stream, long elements) {
    return Tensor.wrap(
        CudaMemory.allocate(stream.device(), elements * Float.BYTES), 0, DType.F32, elements);
  }

  private static void set(CudaStream stream, Tensor there, float value) {
    try (Tensor host = Tensor.allocate(DType.F32, there.shape())) {
      for (long i = 0; i < host.elements(); i++) {
        host.accessor().set(i, value + i);
      }
      stream.copy(host, there);
      stream.synchronize();
    }
  }

  private static double[] get(CudaStream stream, Tensor there) {
    try (Tensor host = Tensor.allocate(DType.F32, there.shape())) {
      stream.copy(there, host);
      stream.synchronize();
      return host.toDoubles();
    }
  }

  @Test
  void addsAndCopiesOnTheStreamAndInGraphs() {
    onTwoGpus(
        (sums, stream) -> {
          int rank = sums.ranks().rank();
          try (Tensor part = allocate(stream, 3)) {
            set(stream, part, 10 + rank);
            sums.add(part);
            sums.add(part);
            assertThat(get(stream, part)).containsExactly(42, 46, 50);
            set(stream, part, rank);
            sums.copyFromFirst(part);
            assertThat(get(stream, part)).containsExactly(0, 1, 2);
            try (CudaGraph graph = CudaGraph.capture(stream, () -> sums.add(part))) {
              assertThat(get(stream, part)).containsExactly(0, 1, 2);
              set(stream, part, 5 * rank);
              for (int i = 0; i < 4; i++) {
                graph.launch(stream);
              }
              assertThat(get(stream, part)).containsExactly(40, 56, 72);
            }
            sums.add(part.narrow(0, 0, 0));
            sums.ensureHealthy();
          }
        });
  }

  @Test
  void endsWhereARankFails() {
    CountDownLatch waits = new CountDownLatch(1);
    assertThatThrownBy(
            () ->
                onTwoGpus(
                    (sums, stream) -> {
                      if (sums.ranks().rank() == 1) {
                        waits.await();
                        throw new IllegalStateException("out of luck");
                      }
                      try (Tensor part = allocate(stream, 3)) {
                        sums.add(part);
                        waits.countDown();
                        stream.synchronize();
                        assertThatThrownBy(sums::ensureHealthy)
                            .isInstanceOf(RankFailedException.class)
                            .hasMessageContaining("rank 1 of 2 failed")
                            .hasMessageContaining("out of luck");
                        assertThatThrownBy(() -> sums.add(part))
                            .isInstanceOf(RankFailedException.class);
                      }
                    }))
        .hasMessage("out of luck");
  }

  @Test
  void endsWhereItIsGivenUp() {
    onTwoGpus(
        (sums, stream) -> {
          try (Tensor part = allocate(stream, 3 + sums.ranks().rank())) {
            sums.add(part); // of different sizes: they wait for each other
            sums.abort();
            stream.synchronize();
            assertThatThrownBy(() -> sums.add(part))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("given up");
          }
        });
  }

  @Test
  void refusesTwoRanksOnOneGpu() {
    assertThatThrownBy(
            () ->
                ThreadCommunicator.run(
                    2,
                    ranks -> {
                      try (CudaStream stream = CudaStream.open(CudaDevice.of(0))) {
                        CudaRankSum.open(ranks, stream).close();
                      }
                    }))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("ncclCommInitRankConfig failed on rank")
        .hasMessageContaining("Duplicate GPU");
  }

  @Test
  void refusesWhatIsNotOnItsGpu() {
    onTwoGpus(
        (sums, stream) -> {
          try (Tensor host = Tensor.allocate(DType.F32, 3);
              Tensor there = allocate(stream, 4);
              CudaStream other = CudaStream.open(CudaDevice.of(1 - sums.ranks().rank()));
              Tensor elsewhere = allocate(other, 3)) {
            for (Tensor tensor :
                new Tensor[] {host, elsewhere, there.strided(0, new long[] {2}, new long[] {2})}) {
              assertThatThrownBy(() -> sums.add(tensor))
                  .isInstanceOf(IllegalArgumentException.class)
                  .hasMessageContaining("inOut");
            }
          }
        });
  }

  @Test
  void doesNothingInAWorldOfOne() {
    ThreadCommunicator.run(
        1,
        ranks -> {
          try (CudaStream stream = CudaStream.open(CudaDevice.of(0));
              CudaRankSum sums = CudaRankSum.open(ranks, stream);
              Tensor part = allocate(stream, 2)) {
            set(stream, part, 4);
            sums.add(part);
            sums.copyFromFirst(part);
            sums.abort();
            sums.ensureHealthy();
            assertThat(get(stream, part)).containsExactly(4, 5);
          }
        });
  }

  /** Two processes: they add, and then one dies while the other waits for its part. */
  static final class Processes {
    public static void main(String[] arguments) throws Exception {
      MpiCommunicator.run(
          ranks -> {
            CudaStream stream = CudaStream.open(CudaDevice.of(MpiCommunicator.localRank()));
            CudaRankSum sums = CudaRankSum.open(ranks, stream);
            Tensor part = allocate(stream, 2);
            set(stream, part, 1 + ranks.rank());
            sums.add(part);
            MpiJob.say("sum " + Arrays.toString(get(stream, part)));
            ranks.barrier();
            if (ranks.rank() == 1) {
              Runtime.getRuntime().halt(3);
            }
            sums.add(part);
            stream.synchronize();
            try {
              sums.ensureHealthy();
            } catch (RankFailedException e) {
              MpiJob.say(e.getMessage());
            }
            sums.close();
          });
    }
  }

  @Test
  void addsOverProcessesAndEndsWhereOneDies() {
    MpiJob.assume();
    String output = new MpiJob().with("--enable-recovery").run(2, Processes.class).output();
    assertThat(output.lines().filter("sum [3.0, 5.0]"::equals)).as(output).hasSize(2);
    assertThat(output).contains("rank 1 of 2 failed: its process ended");
    assertThat(output).contains("rank 1 exit 3");
  }
}

package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The kernels of {@code policy_loss.cu} against the losses of the CPU. */
@RequiresCuda
final class CudaPolicyLossDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  static Stream<PolicyLoss> losses() {
    return Stream.of(
        Cispo.maxWeight(1.3),
        Cispo.bySign(new ClipRange(0.8, 1.1), new ClipRange(0.9, 5)).withKl(0.3),
        Cispo.paper(0.2, 0.3).withTrustRegion(new ClipRange(0.9, 1.2)),
        Cispo.scaleRl(1.2),
        ClippedSurrogate.grpo(0.2),
        ClippedSurrogate.drGrpo(0.2, 40).withKl(0.1),
        ClippedSurrogate.gspo(0.1, 0.05).withKl(0.2),
        Sapo.DEFAULT.withKl(0.1));
  }

  /** Log-probabilities that fp32 holds, log-ratios that are clamped, and every kind of extra. */
  private static TokenBatch batch() {
    TokenBatch random = Batches.random(3, 0.4);
    double[][] logProbs = random.logProbs();
    double[][] advantages = random.logProbs();
    double[][] weights = random.logProbs();
    Random more = new Random(4);
    for (int i = 0; i < logProbs.length; i++) {
      for (int t = 0; t < logProbs[i].length; t++) {
        logProbs[i][t] = (float) logProbs[i][t];
        advantages[i][t] = i == 3 ? 0 : more.nextGaussian();
        weights[i][t] = more.nextDouble();
      }
    }
    logProbs[2][0] = -30;
    return random
        .withLogProbs(logProbs)
        .withTokenAdvantages(advantages)
        .withImportance(weights)
        .withGroups(new int[] {0, 0, 2, 1, 2, 0});
  }

  private Tensor up(TokenBatch batch) {
    double[] all = Batches.flat(batch.logProbs());
    Tensor host = Tensor.allocate(DType.F32, all.length);
    for (int t = 0; t < all.length; t++) {
      host.accessor().set(t, all[t]);
    }
    return gpu.up(host);
  }

  private double[] gradient(CudaPolicyLoss loss, Tensor logProb) {
    Tensor out = gpu.normal(1, DType.F32, logProb.size(0));
    loss.evaluate(logProb, out);
    return gpu.doubles(out);
  }

  @ParameterizedTest
  @MethodSource("losses")
  void isTheLossOfTheCpu(PolicyLoss loss) {
    TokenBatch batch = batch();
    LossResult expected = loss.evaluate(batch);
    try (CudaPolicyLoss there = CudaPolicyLoss.of(gpu.stream(), loss, batch)) {
      double[] gradient = gradient(there, up(batch));
      double value = expected.loss();
      assertThat(there.loss()).isCloseTo(value, within(1e-12 * Math.abs(value)));
      double[] wanted = Batches.flat(expected.gradient());
      for (int t = 0; t < wanted.length; t++) {
        double rounding = 1e-7 * Math.abs(wanted[t]);
        assertThat(gradient[t]).as("token %s", t).isCloseTo(wanted[t], within(rounding));
      }
      assertSame(there.diagnostics(), expected.diagnostics());
    }
  }

  private static void assertSame(Diagnostics actual, Diagnostics expected) {
    assertThat(actual.tokens()).isEqualTo(expected.tokens());
    assertThat(actual.above()).isEqualTo(expected.above());
    assertThat(actual.below()).isEqualTo(expected.below());
    assertThat(actual.stopped()).isEqualTo(expected.stopped());
    assertThat(actual.groups()).isEqualTo(expected.groups());
    assertThat(actual.zeroVarianceGroups()).isEqualTo(expected.zeroVarianceGroups());
    double[] numbers = numbers(actual);
    double[] wanted = numbers(expected);
    for (int i = 0; i < wanted.length; i++) {
      assertThat(numbers[i]).as("%s", i).isCloseTo(wanted[i], within(1e-12 * Math.abs(wanted[i])));
    }
  }

  private static double[] numbers(Diagnostics of) {
    KlEstimates old = of.oldKl();
    KlEstimates reference = of.referenceKl().orElse(KlEstimates.NONE);
    return new double[] {
      of.meanRatio(),
      of.maxRatio(),
      of.effectiveSampleSize(),
      old.k1(),
      old.k2(),
      old.k3(),
      reference.k1(),
      reference.k2(),
      reference.k3()
    };
  }

  @Test
  void longSequencesGoOverTheThreadsMoreThanOnce() {
    double[][] logProbs = {new double[700], new double[0]};
    double[][] old = {new double[700], new double[0]};
    for (int t = 0; t < 700; t++) {
      logProbs[0][t] = (float) (-t / 400.0);
      old[0][t] = -t / 390.0;
    }
    TokenBatch batch = TokenBatch.ragged(logProbs, old, new double[] {1, -1});
    for (PolicyLoss loss : List.of(Cispo.maxWeight(2), ClippedSurrogate.gspo(0.1, 0.1))) {
      LossResult expected = loss.evaluate(batch);
      try (CudaPolicyLoss there = CudaPolicyLoss.of(gpu.stream(), loss, batch)) {
        double[] gradient = gradient(there, up(batch));
        assertThat(there.loss()).isCloseTo(expected.loss(), within(1e-12));
        Closeness.assertNmse("gradient", gradient, Batches.flat(expected.gradient()), 1e-13);
      }
    }
  }

  @Test
  void partsAddUpToTheWhole() {
    double[][] rows = {{-1, -2, -0.5}, {-0.25}};
    double[][] old = {{-1.5, -1, -0.5}, {-0.5}};
    TokenBatch whole = TokenBatch.ragged(rows, old, new double[] {1, -2});
    PolicyLoss loss = Cispo.maxWeight(4);
    double sum = 0;
    for (int i = 0; i < 2; i++) {
      TokenBatch part =
          TokenBatch.ragged(
                  new double[][] {rows[i]}, new double[][] {old[i]}, new double[] {i == 0 ? 1 : -2})
              .within(whole.counts());
      try (CudaPolicyLoss there = CudaPolicyLoss.of(gpu.stream(), loss, part)) {
        gradient(there, up(part));
        sum += there.loss();
      }
    }
    assertThat(sum).isCloseTo(loss.evaluate(whole).loss(), within(1e-14));
    TokenBatch none =
        TokenBatch.ragged(new double[0][], new double[0][], new double[0]).within(whole.counts());
    try (CudaPolicyLoss there = CudaPolicyLoss.of(gpu.stream(), loss, none)) {
      assertThat(gradient(there, up(none))).isEmpty();
      assertThat(there.loss()).isZero();
      assertThat(there.diagnostics().tokens().total()).isZero();
    }
  }

  @Test
  void seesNanOnlyWhereTokensCount() {
    TokenBatch batch = batch();
    boolean[] mask = new boolean[0];
    for (boolean[] row : batch.mask()) {
      int from = mask.length;
      mask = Arrays.copyOf(mask, from + row.length);
      System.arraycopy(row, 0, mask, from, row.length);
    }
    Collection<PolicyLoss> all =
        List.of(Cispo.maxWeight(2), ClippedSurrogate.grpo(0.2), Sapo.DEFAULT);
    for (PolicyLoss loss : all) {
      try (CudaPolicyLoss there = CudaPolicyLoss.of(gpu.stream(), loss, batch)) {
        double[] clean = gradient(there, up(batch));
        Tensor host = gpu.down(up(batch));
        for (int t = 0; t < mask.length; t++) {
          if (!mask[t]) {
            host.accessor().set(t, Double.NaN);
          }
        }
        Tensor logProb = gpu.allocate(DType.F32, mask.length);
        gpu.stream().copy(host, logProb);
        assertThat(gradient(there, logProb)).isEqualTo(clean);
        host.accessor().set(0, Double.NaN); // counts
        gpu.stream().copy(host, logProb);
        clean[0] = Double.NaN;
        assertThat(gradient(there, logProb)).isEqualTo(clean);
        assertThatThrownBy(there::loss)
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageEndingWith("got a loss of NaN");
      }
    }
  }

  @Test
  void repeatsItsBitsInAGraphAndGivesItsMemoryBack() {
    TokenBatch batch = batch();
    Tensor logProb = up(batch);
    Tensor out = gpu.allocate(DType.F32, logProb.size(0));
    long before = CudaMemory.liveBytes();
    try (CudaPolicyLoss there = CudaPolicyLoss.of(gpu.stream(), Sapo.DEFAULT, batch)) {
      there.evaluate(logProb, out);
      double value = there.loss();
      double[] first = gpu.doubles(out);
      try (CudaGraph graph = CudaGraph.capture(gpu.stream(), () -> there.evaluate(logProb, out))) {
        gpu.stream().clear(out);
        graph.launch(gpu.stream());
        assertThat(gpu.doubles(out)).isEqualTo(first);
        assertThat(there.loss()).isEqualTo(value);
      }
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void refusesWhatDoesNotFit() {
    TokenBatch batch =
        TokenBatch.ragged(new double[][] {{-1}}, new double[][] {{-1}}, new double[1]);
    PolicyLoss penalty = Cispo.maxWeight(2).withKl(0.1);
    assertThatThrownBy(() -> CudaPolicyLoss.of(gpu.stream(), penalty, batch))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("batch: expected reference log-probabilities since klWeight = 0.1");
    CudaPolicyLoss loss = CudaPolicyLoss.of(gpu.stream(), Cispo.maxWeight(2), batch);
    Tensor one = gpu.normal(1, DType.F32, 1);
    assertThatThrownBy(() -> loss.evaluate(gpu.normal(1, DType.F32, 2), one))
        .hasMessageStartingWith("logProb: expected shape [1], got [2]");
    assertThatThrownBy(() -> loss.evaluate(one, one))
        .hasMessage("outDLogProb: expected memory of its own, got an overlap with logProb");
    assertThatThrownBy(loss::loss)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageEndingWith("expected an evaluation first");
    loss.close();
    assertThatThrownBy(() -> loss.evaluate(one, one))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageEndingWith("is closed");
  }
}

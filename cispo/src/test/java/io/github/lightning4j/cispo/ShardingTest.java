package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.testkit.Closeness;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** One shard, four shards and 32 micro-batches are one batch, under every average. */
final class ShardingTest {
  private static final int SEQUENCES = 64;
  private static final int GROUPS = 5;

  private final double[][] logProbs = new double[SEQUENCES][];
  private final double[][] old = new double[SEQUENCES][];
  private final double[][] reference = new double[SEQUENCES][];
  private final boolean[][] mask = new boolean[SEQUENCES][];
  private final double[] advantages = new double[SEQUENCES];
  private final int[] groups = new int[SEQUENCES];

  ShardingTest() {
    Random random = new Random(11);
    for (int i = 0; i < SEQUENCES; i++) {
      int length = 1 + random.nextInt(40);
      logProbs[i] = random.doubles(length, -3, 0).toArray();
      old[i] = random.doubles(length, -3, 0).toArray();
      reference[i] = random.doubles(length, -3, 0).toArray();
      mask[i] = new boolean[length];
      for (int t = 0; t < length; t++) {
        mask[i][t] = i % 32 != 7 && random.nextInt(4) > 0; // one of 32 shards has no token
      }
      groups[i] = random.nextInt(GROUPS);
      advantages[i] = groups[i] == 3 ? 0 : random.nextGaussian(); // a group without variance
    }
  }

  static Stream<PolicyLoss> losses() {
    return Stream.of(
        Cispo.maxWeight(2).withKl(0.1),
        Cispo.scaleRl(2).withKl(0.1),
        Cispo.slime(1, 4),
        ClippedSurrogate.grpo(0.2).withKl(0.1),
        ClippedSurrogate.dapo(0.2, 0.28),
        ClippedSurrogate.drGrpo(0.2, 40),
        ClippedSurrogate.gspo(0.01, 0.02),
        Sapo.DEFAULT);
  }

  /** The sequences i with {@code i % parts == part}: groups are torn apart. */
  private TokenBatch part(int part, int parts) {
    int[] chosen = IntStream.range(0, SEQUENCES).filter(i -> i % parts == part).toArray();
    return TokenBatch.masked(
            rows(logProbs, chosen),
            rows(old, chosen),
            Arrays.stream(chosen).mapToDouble(i -> advantages[i]).toArray(),
            Arrays.stream(chosen).mapToObj(i -> mask[i]).toArray(boolean[][]::new))
        .withReference(rows(reference, chosen))
        .withEntropies(rows(old, chosen))
        .withGroups(Arrays.stream(chosen).map(i -> groups[i]).toArray());
  }

  private static double[][] rows(double[][] table, int[] chosen) {
    return Arrays.stream(chosen).mapToObj(i -> table[i]).toArray(double[][]::new);
  }

  @ParameterizedTest
  @MethodSource("losses")
  void partsAddUpToTheWhole(PolicyLoss loss) {
    LossResult whole = loss.evaluate(part(0, 1));
    for (int parts : new int[] {1, 4, 32}) {
      List<TokenBatch> batches = IntStream.range(0, parts).mapToObj(p -> part(p, parts)).toList();
      BatchCounts global = BatchCounts.sum(batches.stream().map(TokenBatch::counts).toList());
      assertThat(global).isEqualTo(part(0, 1).counts());
      assertThat(batches.stream().anyMatch(b -> b.counts().tokens() == 0)).isEqualTo(parts == 32);
      double sum = 0;
      double careless = 0;
      double[][] gradient = new double[SEQUENCES][];
      List<Diagnostics> diagnostics = new ArrayList<>();
      for (int p = 0; p < parts; p++) {
        LossResult result = loss.evaluate(batches.get(p).within(global));
        sum += result.loss();
        if (batches.get(p).counts().tokens() > 0) {
          careless += loss.evaluate(batches.get(p)).loss() / parts;
        }
        diagnostics.add(result.diagnostics());
        for (int i = 0; i < result.gradient().length; i++) {
          gradient[p + i * parts] = result.gradient()[i];
        }
      }
      assertThat(sum).isCloseTo(whole.loss(), within(1e-13));
      Closeness.assertWithin("gradient", Batches.flat(gradient), Batches.flat(whole.gradient()), 0);
      assertSame(Diagnostics.merge(diagnostics), whole.diagnostics());
      if (parts == 32
          && !(loss.aggregation() instanceof Aggregation.FixedLength)
          && !(loss.aggregation() instanceof Aggregation.SequenceMean)) {
        assertThat(Math.abs(careless - whole.loss())).isGreaterThan(1e-3); // a mean of means
      }
    }
  }

  private static void assertSame(Diagnostics merged, Diagnostics whole) {
    assertThat(merged.tokens()).isEqualTo(whole.tokens());
    assertThat(merged.above()).isEqualTo(whole.above());
    assertThat(merged.below()).isEqualTo(whole.below());
    assertThat(merged.stopped()).isEqualTo(whole.stopped());
    assertThat(merged.maxRatio()).isEqualTo(whole.maxRatio());
    assertThat(merged.meanRatio()).isCloseTo(whole.meanRatio(), within(1e-12));
    assertThat(merged.effectiveSampleSize()).isCloseTo(whole.effectiveSampleSize(), within(1e-12));
    assertThat(merged.oldKl().k1()).isCloseTo(whole.oldKl().k1(), within(1e-12));
    assertThat(merged.referenceKl().orElseThrow().k3())
        .isCloseTo(whole.referenceKl().orElseThrow().k3(), within(1e-12));
    assertThat(merged.entropy().orElseThrow())
        .isCloseTo(whole.entropy().orElseThrow(), within(1e-12));
    assertThat(merged.groups()).isEqualTo(whole.groups()).isEqualTo(GROUPS);
    assertThat(merged.zeroVarianceGroups()).isEqualTo(whole.zeroVarianceGroups()).isEqualTo(1);
  }
}

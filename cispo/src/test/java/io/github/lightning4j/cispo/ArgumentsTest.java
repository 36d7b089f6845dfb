package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.function.DoubleFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every bad argument is refused by its name, and by sequence and position where it has them. */
final class ArgumentsTest {
  private static final double NAN = Double.NaN;
  private static final double[] ADVANTAGES = {1, -1};

  private static double[][] table() {
    return new double[][] {{-1, -2, -3}, {-1.5, -2.5}};
  }

  private static double[][] tableWith(double value) {
    double[][] table = table();
    table[1][1] = value;
    return table;
  }

  private static boolean[][] mask(boolean last) {
    return new boolean[][] {{last, last, last}, {last, false}};
  }

  private static TokenBatch batch() {
    return TokenBatch.ragged(table(), table(), ADVANTAGES);
  }

  private static void refuses(Runnable call, String message) {
    assertThatThrownBy(call::run).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }

  @Test
  void nanLogProbs() {
    refuses(
        () -> TokenBatch.ragged(tableWith(NAN), table(), ADVANTAGES),
        "logProbs[1][1]: expected a finite log-probability, got NaN");
    refuses(
        () -> TokenBatch.ragged(table(), tableWith(NAN), ADVANTAGES),
        "oldLogProbs[1][1]: expected a finite log-probability, got NaN");
    refuses(
        () -> batch().withReference(tableWith(NAN)),
        "referenceLogProbs[1][1]: expected a finite log-probability, got NaN");
  }

  @Test
  void infiniteLogProbs() {
    refuses(
        () -> TokenBatch.ragged(table(), tableWith(Double.NEGATIVE_INFINITY), ADVANTAGES),
        "oldLogProbs[1][1]: expected a finite log-probability, got -Infinity");
  }

  @Test
  void nanAdvantage() {
    refuses(
        () -> TokenBatch.ragged(table(), table(), new double[] {1, NAN}),
        "advantages[1]: expected a finite number, got NaN");
  }

  @Test
  void wrongNumberOfSequences() {
    double[][] one = {{-1, -2, -3}};
    refuses(
        () -> TokenBatch.ragged(table(), one, ADVANTAGES),
        "oldLogProbs: expected 2 sequences as logProbs has, got 1");
    refuses(
        () -> batch().withReference(one),
        "referenceLogProbs: expected 2 sequences as logProbs has, got 1");
    refuses(
        () -> TokenBatch.ragged(table(), table(), new double[] {1}),
        "advantages: expected 2, one a sequence, got 1");
    refuses(
        () -> TokenBatch.masked(table(), table(), ADVANTAGES, new boolean[][] {{true}}),
        "mask: expected 2 sequences as logProbs has, got 1");
  }

  @Test
  void wrongLengthOfASequence() {
    double[][] shorter = {{-1, -2, -3}, {-1.5}};
    refuses(
        () -> TokenBatch.ragged(table(), shorter, ADVANTAGES),
        "oldLogProbs[1]: expected 2 tokens as logProbs[1] has, got 1");
    refuses(
        () -> batch().withReference(shorter),
        "referenceLogProbs[1]: expected 2 tokens as logProbs[1] has, got 1");
    refuses(
        () -> TokenBatch.masked(shorter, shorter, ADVANTAGES, mask(true)),
        "mask[1]: expected 1 tokens as logProbs[1] has, got 2");
  }

  @Test
  void allZeroMask() {
    String none = " sequences, here or in the counts it is within, got none";
    for (PolicyLoss loss : new PolicyLoss[] {Cispo.trl(5), Sapo.DEFAULT}) {
      refuses(
          () -> loss.evaluate(TokenBatch.masked(table(), table(), ADVANTAGES, mask(false))),
          "batch: expected a token that counts in one of 2" + none);
      TokenBatch empty = TokenBatch.ragged(new double[0][], new double[0][], new double[0]);
      refuses(() -> loss.evaluate(empty), "batch: expected a token that counts in one of 0" + none);
    }
  }

  static Stream<Arguments> caps() {
    return Stream.of(
        cap("maxWeight", Cispo::maxWeight),
        cap("epsilonHigh", Cispo::trl),
        cap("epsilonHigh", Cispo::msSwift),
        cap("epsilonMax", Cispo::scaleRl));
  }

  static Stream<Arguments> epsilons() {
    return Stream.of(
        cap("epsilonHigh", Cispo::paper),
        cap("epsilonLow", x -> Cispo.paper(x, 1)),
        cap("epsilonHigh", x -> Cispo.paper(1, x)),
        cap("clipRatioLow", x -> Cispo.verl(x, 1)),
        cap("clipRatioHigh", x -> Cispo.verl(1, x)),
        cap("clipLow", x -> Cispo.roll(x, 1)),
        cap("clipHigh", x -> Cispo.roll(1, x)),
        cap("epsClip", x -> Cispo.slime(x, 1)),
        cap("epsClipHigh", x -> Cispo.slime(1, x)),
        cap("clipHigher", Cispo::openInstruct),
        cap("epsilon", ClippedSurrogate::grpo),
        cap("epsilon", ClippedSurrogate::bnpo),
        cap("epsilon", x -> ClippedSurrogate.drGrpo(x, 12)),
        cap("epsilonLow", x -> ClippedSurrogate.dapo(x, 1)),
        cap("epsilonHigh", x -> ClippedSurrogate.dapo(1, x)),
        cap("epsilonLow", x -> ClippedSurrogate.gspo(x, 1)),
        cap("epsilonHigh", x -> ClippedSurrogate.gspo(1, x)));
  }

  private static Arguments cap(String name, DoubleFunction<PolicyLoss> factory) {
    return Arguments.of(name, factory);
  }

  @ParameterizedTest
  @MethodSource("caps")
  void capNotPositive(String name, DoubleFunction<PolicyLoss> factory) {
    for (double cap : new double[] {0, -1, NAN}) {
      refuses(() -> factory.apply(cap), name + ": expected > 0, got " + cap);
    }
  }

  @ParameterizedTest
  @MethodSource("epsilons")
  void epsilonNegative(String name, DoubleFunction<PolicyLoss> factory) {
    for (double epsilon : new double[] {-0.1, NAN}) {
      refuses(() -> factory.apply(epsilon), name + ": expected >= 0, got " + epsilon);
    }
  }

  @Test
  void floorAboveTheCap() {
    Cispo loss = Cispo.bySign(new ClipRange(0, 5), new ClipRange(0, 3));
    for (double floor : new double[] {-1, 4, NAN}) {
      refuses(
          () -> loss.withMinWeight(floor),
          "minWeight: expected finite, >= 0 and <= the cap = 3.0, got " + floor);
    }
  }

  @Test
  void rangeOutOfOrder() {
    refuses(() -> new ClipRange(-1, 1), "lower: expected >= 0, got -1.0");
    refuses(() -> new ClipRange(0, 0), "upper: expected > 0, got 0.0");
    refuses(() -> new ClipRange(2, 1), "lower: expected <= upper = 1.0, got 2.0");
    double infinity = Double.POSITIVE_INFINITY;
    refuses(
        () -> new ClipRange(infinity, infinity), "lower: expected a finite bound, got Infinity");
  }

  @Test
  void badKlWeight() {
    refuses(() -> Cispo.trl(5).withKl(-0.1), "klWeight: expected a finite number >= 0, got -0.1");
    refuses(
        () -> ClippedSurrogate.grpo(0.2).withKl(NAN),
        "klWeight: expected a finite number >= 0, got NaN");
  }

  @Test
  void klPenaltyWithoutReference() {
    refuses(
        () -> ClippedSurrogate.grpo(0.2).withKl(0.04).evaluate(batch()),
        "batch: expected reference log-probabilities since klWeight = 0.04, got none");
  }

  @Test
  void sequenceLongerThanTheConstant() {
    refuses(() -> ClippedSurrogate.drGrpo(0.2, 0), "maxLength: expected >= 1, got 0");
    refuses(
        () -> ClippedSurrogate.drGrpo(0.2, 2).evaluate(batch()),
        "batch: expected at most maxLength = 2 tokens in sequence 0, got 3");
  }

  /** Log-ratios are clamped, so it takes an advantage to leave the range of doubles. */
  @Test
  void overflow() {
    TokenBatch batch = TokenBatch.ragged(tableWith(-1), tableWith(-690), new double[] {1, 1e299});
    double ratio = Cispo.maxWeight(1e299).evaluate(batch).diagnostics().maxRatio();
    assertThat(ratio).isEqualTo(Math.exp(20));
    TokenBatch overflowing = batch.withTokenAdvantages(new double[][] {{1, 1, 1}, {1, 1e308}});
    refuses(
        () -> Cispo.maxWeight(Double.POSITIVE_INFINITY).evaluate(overflowing),
        "batch: expected ratios and advantages whose products fit a double, got a loss of"
            + " Infinity");
  }

  @Test
  void wrongTokenTables() {
    double[][] shorter = {{1, 2, 3}, {1}};
    refuses(
        () -> batch().withTokenAdvantages(shorter),
        "advantages[1]: expected 2 tokens as logProbs[1] has, got 1");
    refuses(
        () -> batch().withTokenAdvantages(tableWith(NAN)),
        "advantages[1][1]: expected a finite number, got NaN");
    refuses(
        () -> batch().withImportance(table()), "weights[0][0]: expected a number >= 0, got -1.0");
    refuses(
        () -> batch().withEntropies(tableWith(NAN)),
        "entropies[1][1]: expected a finite number, got NaN");
    refuses(
        () -> batch().withLogProbs(tableWith(NAN)),
        "logProbs[1][1]: expected a finite log-probability, got NaN");
  }

  @Test
  void wrongGroupsAndCounts() {
    refuses(() -> batch().withGroups(new int[] {0}), "groups: expected 2, one a sequence, got 1");
    for (int number : new int[] {-1, BatchCounts.MAX_GROUPS, Integer.MAX_VALUE}) {
      refuses(
          () -> batch().withGroups(new int[] {0, number}),
          "groups[1]: expected 0 to 1048575, counted from 0 through all parts, got " + number);
    }
    refuses(
        () -> new BatchCounts(0, 0, new long[BatchCounts.MAX_GROUPS + 1]),
        "groupTokens: expected at most 1048576 groups, got 1048577");
    refuses(
        () -> Cispo.scaleRl(5).evaluate(batch()),
        "batch: expected groups to average over, got none; see withGroups");
    refuses(
        () -> batch().within(new BatchCounts(4, 2, new long[0])),
        "global: expected the counts of all parts, at least 5 tokens of 2 sequences, got 4 of 2");
    refuses(
        () -> batch().withGroups(new int[] {0, 1}).within(new BatchCounts(9, 2, new long[] {9})),
        "global: expected at least 2 tokens of group 1, got 0");
    refuses(
        () -> batch().withoutTruncated(new boolean[1]),
        "truncated: expected 2, one a sequence, got 1");
  }

  /** Both change the counts that the global ones are the sum of. */
  @Test
  void groupsAndTruncationAfterTheGlobalCounts() {
    int[] groups = {0, 1};
    boolean[] truncated = {true, false};
    TokenBatch part = batch().within(new BatchCounts(9, 4, new long[] {5, 4}));
    assertThatThrownBy(() -> part.withGroups(groups))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith("withGroups: expected before within");
    assertThatThrownBy(() -> part.withoutTruncated(truncated))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith("withoutTruncated: expected before within");
    TokenBatch before = batch().withGroups(groups).withoutTruncated(truncated);
    BatchCounts global = BatchCounts.sum(List.of(before.counts(), before.counts()));
    assertThat(global).isEqualTo(new BatchCounts(4, 4, new long[] {0, 4}));
    assertThat(before.within(global).counts()).isEqualTo(global);
  }

  @Test
  void badTemperaturesOfSapo() {
    refuses(
        () -> new Sapo(0, 1, new Aggregation.TokenMean(), 0),
        "positive: expected a finite number > 0, got 0.0");
    refuses(
        () -> new Sapo(1, NAN, new Aggregation.TokenMean(), 0),
        "negative: expected a finite number > 0, got NaN");
  }
}

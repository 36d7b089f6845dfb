package io.github.lightning4j.cispo.head;

import io.github.lightning4j.core.testkit.Gradients;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The gradients of the plain formula are slopes of its values. */
final class PlainHeadTest {
  private static final int TOKENS = 5;
  private static final int WORDS = 7;
  private static final int WIDTH = 3;
  private static final int[] TARGETS = {6, 0, 3, 3, 1};

  private final Random random = new Random(3);
  private final double[] hidden = random.doubles(TOKENS * WIDTH, -2, 2).toArray();
  private final double[] head = random.doubles(WORDS * WIDTH, -2, 2).toArray();
  private final double[] dLogProb = random.doubles(TOKENS, -1, 1).toArray();
  private final double[] dEntropy = random.doubles(TOKENS, -1, 1).toArray();

  private static PlainHead head(double[] hidden, double[] head) {
    return new PlainHead(rows(hidden), rows(head), TARGETS, 0.7);
  }

  private static double[][] rows(double[] values) {
    return IntStream.range(0, values.length / WIDTH)
        .mapToObj(i -> Arrays.copyOfRange(values, i * WIDTH, (i + 1) * WIDTH))
        .toArray(double[][]::new);
  }

  private double loss(PlainHead of) {
    double loss = 0;
    for (int t = 0; t < TOKENS; t++) {
      loss += dLogProb[t] * of.logProb[t] + dEntropy[t] * of.entropy[t];
    }
    return loss;
  }

  @Test
  void ofHidden() {
    double[] gradient = head(hidden, head).dHidden(dLogProb, dEntropy);
    Gradients.assertMatches(
        "hidden", x -> loss(head(x, head)), hidden, gradient, gradient.length, 1e-8);
  }

  @Test
  void ofHead() {
    double[] gradient = head(hidden, head).dHead(dLogProb, dEntropy);
    Gradients.assertMatches(
        "head", x -> loss(head(hidden, x)), head, gradient, gradient.length, 1e-8);
  }
}

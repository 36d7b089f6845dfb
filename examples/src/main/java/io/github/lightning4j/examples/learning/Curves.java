package io.github.lightning4j.examples.learning;

import java.util.Arrays;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/**
 * How the reward of one recipe grew.
 *
 * @param recipe whose
 * @param updates {@code [points]}: how many the policy had seen at each point
 * @param rewards {@code [seeds][points]}: mean rewards of sampled answers
 */
public record Curves(String recipe, int[] updates, double[][] rewards) {
  /** Points at the end of a curve that its final reward is the mean of. */
  private static final int LAST = 5;

  /** The mean over seeds at a point. */
  public double mean(int point) {
    return Arrays.stream(rewards).mapToDouble(curve -> curve[point]).average().orElseThrow();
  }

  /** The sample standard deviation over seeds at a point; 0 for one seed. */
  public double deviation(int point) {
    return deviation(Arrays.stream(rewards).mapToDouble(curve -> curve[point]).toArray());
  }

  /** The mean final reward over seeds. */
  public double finalMean() {
    return Arrays.stream(finals()).average().orElseThrow();
  }

  /** Its sample standard deviation over seeds. */
  public double finalDeviation() {
    return deviation(finals());
  }

  private double[] finals() {
    return Arrays.stream(rewards)
        .mapToDouble(
            curve ->
                Arrays.stream(curve).skip(Math.max(0, curve.length - LAST)).average().orElseThrow())
        .toArray();
  }

  /** For each seed that got there, the updates it took to a reward. */
  public int[] updatesTo(double reward) {
    return Arrays.stream(rewards)
        .map(curve -> IntStream.range(0, curve.length).filter(p -> curve[p] >= reward).findFirst())
        .filter(OptionalInt::isPresent)
        .mapToInt(point -> updates[point.getAsInt()])
        .toArray();
  }

  private static double deviation(double[] values) {
    double mean = Arrays.stream(values).average().orElseThrow();
    double squares = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
    return values.length == 1 ? 0 : Math.sqrt(squares / (values.length - 1));
  }
}

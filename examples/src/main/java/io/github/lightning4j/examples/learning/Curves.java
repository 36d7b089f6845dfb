package io.github.lightning4j.examples.learning;

import java.util.Arrays;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/**
 * How the reward of one recipe grew.
 *
 * @param recipe whose
 * @param updates {@code [seeds][points]}: steps of the optimizer before each point; a rollout that
 *     found few groups to learn from has fewer
 * @param rewards {@code [seeds][points]}: mean rewards of sampled answers
 */
public record Curves(String recipe, int[][] updates, double[][] rewards) {
  /** Points at the end of a curve that its final reward is the mean of. */
  private static final int LAST = 5;

  /** How many points a curve has. */
  public int points() {
    return updates[0].length;
  }

  /** The mean over seeds of the updates before a point. */
  public double meanUpdates(int point) {
    return Arrays.stream(updates).mapToInt(seed -> seed[point]).average().orElseThrow();
  }

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
    return IntStream.range(0, rewards.length)
        .mapToObj(
            seed ->
                IntStream.range(0, points())
                    .filter(p -> rewards[seed][p] >= reward)
                    .map(p -> updates[seed][p])
                    .findFirst())
        .filter(OptionalInt::isPresent)
        .mapToInt(OptionalInt::getAsInt)
        .toArray();
  }

  private static double deviation(double[] values) {
    double mean = Arrays.stream(values).average().orElseThrow();
    double squares = Arrays.stream(values).map(v -> (v - mean) * (v - mean)).sum();
    return values.length == 1 ? 0 : Math.sqrt(squares / (values.length - 1));
  }
}

package io.github.lightning4j.examples.learning;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.random.RandomGenerator;

/**
 * Sorting digits: the prompt is a string of digits, the right answer the same digits in order. The
 * reward is sparse: 1 for the whole answer, 0 for anything else.
 *
 * @param length digits of a prompt, and of an answer
 * @param digits from 0 to {@code digits - 1}
 */
public record SortingTask(int length, int digits) {
  /** Checks the sizes. */
  public SortingTask {
    checkArgument(length >= 1, "length: expected >= 1, got %s", length);
    checkArgument(digits >= 2 && digits <= 10, "digits: expected 2 to 10, got %s", digits);
  }

  int[] prompt(RandomGenerator random) {
    return random.ints(length, 0, digits).toArray();
  }

  double reward(int[] prompt, int[] answer) {
    int[] sorted = prompt.clone();
    Arrays.sort(sorted);
    return Arrays.equals(sorted, answer) ? 1 : 0;
  }
}

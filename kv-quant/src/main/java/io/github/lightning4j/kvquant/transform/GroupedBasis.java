package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.internal.HadamardMatrix;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The basis of a layer's keys in RotateKV, before the rotary embedding.
 *
 * <pre>
 *   stored[i] = rotated[permutation[i]]
 *   rotated   = Had(heads headDim) k    for every group of {@code heads} neighbouring heads
 * </pre>
 *
 * @param kvHeads heads of the layer's keys
 * @param headDim channels of a head
 * @param heads heads of a group; divides {@code kvHeads}, and {@code heads headDim} has a transform
 * @param permutation of all {@code kvHeads headDim} channels
 */
public record GroupedBasis(int kvHeads, int headDim, int heads, int[] permutation) {
  /** Channels that a permutation stored in 16 bits can name. */
  private static final int MOST_CHANNELS = 1 << 16;

  /**
   * Checks the sizes and the permutation, and keeps a copy of it.
   *
   * @throws IllegalArgumentException if they do not fit
   */
  public GroupedBasis {
    checkArgument(kvHeads >= 1, "kvHeads: expected >= 1, got %s", kvHeads);
    checkArgument(
        heads >= 1 && kvHeads % heads == 0,
        "heads: expected a divisor of %s kv heads, got %s",
        kvHeads,
        heads);
    Hadamard.checkFits("heads headDim", heads * headDim);
    int channels = kvHeads * headDim;
    checkArgument(
        channels <= MOST_CHANNELS,
        "kvHeads headDim: expected at most %s channels, got %s",
        MOST_CHANNELS,
        channels);
    checkPermutation(permutation, channels);
    permutation = permutation.clone();
  }

  private static void checkPermutation(int[] permutation, int channels) {
    checkArgument(
        permutation.length == channels,
        "permutation: expected %s channels, got %s",
        channels,
        permutation.length);
    boolean[] seen = new boolean[channels];
    for (int i = 0; i < channels; i++) {
      int from = permutation[i];
      checkArgument(
          from >= 0 && from < channels && !seen[from],
          "permutation[%s]: expected each of %s channels once, got %s",
          i,
          channels,
          from);
      seen[from] = true;
    }
  }

  /**
   * The basis without a permutation yet.
   *
   * @param wanted heads of a group; the largest divisor of {@code kvHeads} up to it whose group has
   *     a transform is taken, down to a single head
   * @throws IllegalArgumentException if not even a single head has a transform; the message says
   *     which sizes do
   */
  public static GroupedBasis of(int kvHeads, int headDim, int wanted) {
    checkArgument(kvHeads >= 1, "kvHeads: expected >= 1, got %s", kvHeads);
    checkArgument(wanted >= 1, "wanted: expected >= 1 heads, got %s", wanted);
    Hadamard.checkFits("headDim", headDim);
    int heads = Math.min(wanted, kvHeads);
    while (kvHeads % heads != 0 || !Hadamard.fits(heads * headDim)) {
      heads--;
    }
    int[] identity = IntStream.range(0, kvHeads * headDim).toArray();
    return new GroupedBasis(kvHeads, headDim, heads, identity);
  }

  /**
   * The same basis with channels in ascending order of the mean; equal means keep their order.
   *
   * @param means of the rotated channels
   * @throws IllegalArgumentException if there are more or fewer, or one is not finite
   */
  public GroupedBasis orderedBy(double[] means, PermutationScope scope) {
    int channels = kvHeads * headDim;
    checkArgument(
        means.length == channels, "means: expected %s channels, got %s", channels, means.length);
    for (int i = 0; i < channels; i++) {
      checkArgument(Double.isFinite(means[i]), "means[%s]: expected a finite one", i);
    }
    int span = scope == PermutationScope.LAYER ? channels : size();
    int[] order =
        IntStream.range(0, channels)
            .boxed()
            .sorted(
                Comparator.<Integer>comparingInt(i -> i / span)
                    .thenComparing((a, b) -> Double.compare(means[a] + 0.0, means[b] + 0.0)))
            .mapToInt(Integer::intValue)
            .toArray();
    return new GroupedBasis(kvHeads, headDim, heads, order);
  }

  /**
   * As {@link #orderedBy}, from the keys as they come: the mean of rotated keys is the rotated
   * mean.
   *
   * @param keyMean of each channel of the keys before the rotary embedding
   * @throws IllegalArgumentException if there are more or fewer, or one is not finite
   */
  public GroupedBasis orderedByKeys(double[] keyMean, PermutationScope scope) {
    int channels = kvHeads * headDim;
    checkArgument(
        keyMean.length == channels,
        "keyMean: expected %s channels, got %s",
        channels,
        keyMean.length);
    double[] rotated = keyMean.clone();
    double[] block = new double[size()];
    for (int first = 0; first < channels; first += block.length) {
      System.arraycopy(rotated, first, block, 0, block.length);
      HadamardMatrix.apply(block);
      System.arraycopy(block, 0, rotated, first, block.length);
    }
    return orderedBy(rotated, scope);
  }

  /** Channels that one rotation mixes. */
  public int size() {
    return heads * headDim;
  }

  /** A copy of the permutation. */
  @Override
  public int[] permutation() {
    return permutation.clone();
  }

  /** Where each rotated channel is stored: {@code inverse[permutation[i]] = i}. */
  public int[] inverse() {
    int[] inverse = new int[permutation.length];
    for (int i = 0; i < inverse.length; i++) {
      inverse[permutation[i]] = i;
    }
    return inverse;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof GroupedBasis that
        && kvHeads == that.kvHeads
        && headDim == that.headDim
        && heads == that.heads
        && Arrays.equals(permutation, that.permutation);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * kvHeads + headDim) + Arrays.hashCode(permutation);
  }
}

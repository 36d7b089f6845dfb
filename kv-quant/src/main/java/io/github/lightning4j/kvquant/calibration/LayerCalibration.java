package io.github.lightning4j.kvquant.calibration;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * What is known of one layer.
 *
 * @param basis sizes, and the order of the rotated channels
 * @param keyMean mean of each channel of the keys before the rotary embedding, {@code [kvHeads
 *     headDim]}
 * @param keyPairs transforms of the keys, one a kv head; empty where no queries were read
 * @param valuePairs transforms of the values, one a kv head; empty where no values were read
 * @param textSalience of a model that sees: attention on a text token over that on a visual one;
 *     empty where it was not measured
 */
public record LayerCalibration(
    GroupedBasis basis,
    float[] keyMean,
    List<DensePair> keyPairs,
    List<DensePair> valuePairs,
    OptionalDouble textSalience) {
  /** Without a salience. */
  public LayerCalibration(
      GroupedBasis basis, float[] keyMean, List<DensePair> keyPairs, List<DensePair> valuePairs) {
    this(basis, keyMean, keyPairs, valuePairs, OptionalDouble.empty());
  }

  /**
   * Checks the sizes and keeps copies.
   *
   * @throws IllegalArgumentException if they do not fit one another
   */
  public LayerCalibration {
    int channels = basis.kvHeads() * basis.headDim();
    checkArgument(
        keyMean.length == channels,
        "keyMean: expected %s channels, got %s",
        channels,
        keyMean.length);
    keyMean = keyMean.clone();
    keyPairs = List.copyOf(keyPairs);
    valuePairs = List.copyOf(valuePairs);
    checkPairs("keyPairs", keyPairs, basis);
    checkPairs("valuePairs", valuePairs, basis);
    checkArgument(
        textSalience.isEmpty() || textSalience.getAsDouble() >= 0,
        "textSalience: expected >= 0, got %s",
        textSalience);
  }

  private static void checkPairs(String name, List<DensePair> pairs, GroupedBasis basis) {
    checkArgument(
        pairs.isEmpty() || pairs.size() == basis.kvHeads(),
        "%s: expected none or one for each of %s kv heads, got %s",
        name,
        basis.kvHeads(),
        pairs.size());
    for (DensePair pair : pairs) {
      checkArgument(
          pair.dim() == basis.headDim(),
          "%s: expected heads of %s channels, got %s",
          name,
          basis.headDim(),
          pair.dim());
    }
  }

  /**
   * The rotation of a policy: the one calibrated, or where the policy rotates other heads or orders
   * channels within a rotation only, one made of the mean of the keys.
   */
  public GroupedBasis basis(KvTransform.PreRopeGrouped transform) {
    GroupedBasis wanted = GroupedBasis.of(basis.kvHeads(), basis.headDim(), transform.heads());
    if (wanted.heads() == basis.heads() && transform.scope() == PermutationScope.LAYER) {
      return basis;
    }
    double[] mean = IntStream.range(0, keyMean.length).mapToDouble(i -> keyMean[i]).toArray();
    return wanted.orderedByKeys(mean, transform.scope());
  }

  /** The same with a salience. */
  public LayerCalibration withTextSalience(OptionalDouble salience) {
    return new LayerCalibration(basis, keyMean, keyPairs, valuePairs, salience);
  }

  /** A copy of the mean. */
  @Override
  public float[] keyMean() {
    return keyMean.clone();
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof LayerCalibration that
        && basis.equals(that.basis)
        && Arrays.equals(keyMean, that.keyMean)
        && keyPairs.equals(that.keyPairs)
        && valuePairs.equals(that.valuePairs)
        && textSalience.equals(that.textSalience);
  }

  @Override
  public int hashCode() {
    return 31 * basis.hashCode() + Arrays.hashCode(keyMean);
  }
}

package io.github.lightning4j.kvquant.calibration;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.internal.LayerSums;
import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Accumulates what a {@link Calibration} holds, in double, over the keys, queries and values of the
 * unquantized model.
 *
 * <pre>
 *   mean          sum k / tokens                         k before the rotary embedding
 *   permutation   ascending Had mean                     the mean of rotated keys, by linearity
 *   key pairs     wush(2 sum q q^T, sum k k^T)           q, k after the rotary embedding
 *   value pairs   wush(2 sum W_O^T W_O, sum v v^T)
 * </pre>
 *
 * <p>Rows are {@code [T, heads, headDim]} or {@code [T, heads headDim]}, of real tokens only:
 * padding is left out by the caller. The order of calls within a layer does not matter but for
 * rounding. Cost of the pairs: {@code headDim^2} a head and token. One thread a layer at a time;
 * different layers may be fed from different threads.
 *
 * <p>Sources: RotateKV (permutation), WUSH-KV (pairs).
 */
public final class Calibrator {
  private static final Set<DType> TYPES = EnumSet.of(DType.F64, DType.F32, DType.BF16, DType.F16);

  private final GroupedBasis basis;
  private final PermutationScope scope;
  private final List<LayerSums> layers = new ArrayList<>();

  /**
   * For a model.
   *
   * @param layers layers that have a cache
   * @param basis sizes of the layers; its permutation is not used
   * @param scope what permutations may mix
   * @throws IllegalArgumentException if there is no layer
   */
  public Calibrator(int layers, GroupedBasis basis, PermutationScope scope) {
    checkArgument(layers >= 1, "layers: expected >= 1, got %s", layers);
    this.basis = basis;
    this.scope = scope;
    for (int i = 0; i < layers; i++) {
      this.layers.add(new LayerSums(i, basis.kvHeads(), basis.headDim()));
    }
  }

  /**
   * Keys before the rotary embedding, after bias and norm.
   *
   * @param layer by index among the layers that have a cache
   * @param k one row a token, F64, F32, BF16 or F16
   * @throws io.github.lightning4j.kvquant.quantizer.NonFiniteInputException if one holds NaN or an
   *     infinity; the sums are spoilt then
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void addKeys(int layer, Tensor k) {
    LayerSums sums = at(layer);
    sums.addKeys(rows("k", k, basis.kvHeads()));
  }

  /**
   * Queries and keys after the rotary embedding, for dense pairs of keys.
   *
   * @param layer by index among the layers that have a cache
   * @param q one row a token; a multiple of the kv heads
   * @param k one row a token
   * @throws io.github.lightning4j.kvquant.quantizer.NonFiniteInputException as for keys
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void addScores(int layer, Tensor q, Tensor k) {
    LayerSums sums = at(layer);
    long width = q.elements() / Math.max(1, q.size(0));
    int row = basis.kvHeads() * basis.headDim();
    checkArgument(
        width > 0 && width % row == 0,
        "q: expected a multiple of %s kv heads of %s channels, got rows of %s",
        basis.kvHeads(),
        basis.headDim(),
        width);
    Tensor queries = rows("q", q, (int) (width / basis.headDim()));
    Tensor keys = rows("k", k, basis.kvHeads());
    checkArgument(
        q.size(0) == k.size(0), "k: expected %s tokens as q has, got %s", q.size(0), k.size(0));
    sums.addScores(queries, keys);
  }

  /**
   * Values, for dense pairs of values.
   *
   * @param layer by index among the layers that have a cache
   * @param v one row a token
   * @throws io.github.lightning4j.kvquant.quantizer.NonFiniteInputException as for keys
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void addValues(int layer, Tensor v) {
    LayerSums sums = at(layer);
    sums.addValues(rows("v", v, basis.kvHeads()));
  }

  /**
   * The output projection, which tells what an error in a value does; once a layer.
   *
   * @param layer by index among the layers that have a cache
   * @param weight {@code [out, heads headDim]}
   * @throws IllegalArgumentException if types or shapes do not fit
   * @throws IllegalStateException if the layer's was told already
   */
  public void outputProjection(int layer, Tensor weight) {
    LayerSums sums = at(layer);
    Checks.rank("weight", weight, 2);
    checkArgument(
        weight.size(1) > 0 && weight.size(1) % (basis.kvHeads() * basis.headDim()) == 0,
        "weight: expected a multiple of %s kv heads of %s inputs, got %s",
        basis.kvHeads(),
        basis.headDim(),
        weight.size(1));
    sums.outputProjection(rows("weight", weight, (int) (weight.size(1) / basis.headDim())));
  }

  /**
   * What has come together so far. Pairs are made where both of their sums were fed.
   *
   * @throws IllegalStateException if a layer has seen no keys
   */
  public Calibration finish(String modelHash, String corpus, String split) {
    List<LayerCalibration> done = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      checkState(layers.get(i).tokens() > 0, "layer %s has seen no keys; feed addKeys", i);
      done.add(layer(layers.get(i)));
    }
    long tokens = layers.get(0).tokens();
    return new Calibration(new CalibrationSource(modelHash, corpus, split, tokens), done);
  }

  private LayerCalibration layer(LayerSums sums) {
    double[] mean = sums.mean();
    float[] keyMean = new float[mean.length];
    for (int i = 0; i < mean.length; i++) {
      keyMean[i] = (float) mean[i];
    }
    return new LayerCalibration(
        basis.orderedByKeys(mean, scope),
        keyMean,
        pairs(sums.queryGrams(), sums.keyGrams()),
        pairs(sums.outputGrams(), sums.valueGrams()));
  }

  private List<DensePair> pairs(List<double[]> weights, List<double[]> seconds) {
    List<DensePair> pairs = new ArrayList<>();
    if (!weights.isEmpty() && !seconds.isEmpty()) {
      for (int h = 0; h < basis.kvHeads(); h++) {
        pairs.add(
            DensePair.wush(weights.get(h), seconds.get(h), basis.headDim(), DensePair.DAMPING));
      }
    }
    return pairs;
  }

  private LayerSums at(int layer) {
    checkArgument(
        layer >= 0 && layer < layers.size(),
        "layer: expected 0 <= layer < %s, got %s",
        layers.size(),
        layer);
    return layers.get(layer);
  }

  /** The same rows as {@code [T, heads, headDim]}. */
  private Tensor rows(String name, Tensor x, int heads) {
    Checks.dtype(name, x, TYPES);
    Checks.denseLast(name, x);
    if (x.rank() == 2) {
      Checks.shape(name, x, x.size(0), (long) heads * basis.headDim());
      return x.strided(
          0,
          new long[] {x.size(0), heads, basis.headDim()},
          new long[] {x.stride(0), basis.headDim(), 1});
    }
    Checks.rank(name, x, 3);
    Checks.shape(name, x, x.size(0), heads, basis.headDim());
    return x;
  }
}

package io.github.lightning4j.kvquant.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import java.util.ArrayList;
import java.util.List;

/** The sums of one layer's calibration, in double; rows are {@code [T, heads, dim]}. */
public final class LayerSums {
  private final int layer;
  private final int kvHeads;
  private final int dim;
  private final double[] keySum;
  private long tokens;
  private final List<double[]> queryGrams = new ArrayList<>();
  private final List<double[]> keyGrams = new ArrayList<>();
  private final List<double[]> valueGrams = new ArrayList<>();
  private final List<double[]> outputGrams = new ArrayList<>();

  /** All zero. */
  public LayerSums(int layer, int kvHeads, int dim) {
    this.layer = layer;
    this.kvHeads = kvHeads;
    this.dim = dim;
    keySum = new double[kvHeads * dim];
  }

  /** Keys before the rotary embedding. */
  public void addKeys(Tensor k) {
    Elements elements = k.accessor();
    double[] head = new double[dim];
    for (long t = 0; t < k.size(0); t++) {
      for (int h = 0; h < kvHeads; h++) {
        read("key", k, elements, t, h, head);
        for (int i = 0; i < dim; i++) {
          keySum[h * dim + i] += head[i];
        }
      }
    }
    tokens += k.size(0);
  }

  /** Queries and keys after the rotary embedding. */
  public void addScores(Tensor q, Tensor k) {
    addGrams("query", q, 2, queryGrams);
    addGrams("key", k, 1, keyGrams);
  }

  /** Values. */
  public void addValues(Tensor v) {
    addGrams("value", v, 1, valueGrams);
  }

  /** The output projection, a row an output. */
  public void outputProjection(Tensor weight) {
    checkState(outputGrams.isEmpty(), "layer %s: its output projection was told already", layer);
    addGrams("output projection", weight, 2, outputGrams);
  }

  /** {@code grams[kv head] += factor x x^T} over tokens and the kv head's heads. */
  private void addGrams(String what, Tensor x, double factor, List<double[]> grams) {
    while (grams.size() < kvHeads) {
      grams.add(new double[dim * dim]);
    }
    Elements elements = x.accessor();
    int group = (int) (x.size(1) / kvHeads);
    double[] head = new double[dim];
    for (long t = 0; t < x.size(0); t++) {
      for (int h = 0; h < x.size(1); h++) {
        read(what, x, elements, t, h, head);
        double[] gram = grams.get(h / group);
        for (int i = 0; i < dim; i++) {
          double scaled = factor * head[i];
          for (int j = 0; j <= i; j++) {
            gram[i * dim + j] += scaled * head[j];
          }
        }
      }
    }
  }

  private void read(String what, Tensor x, Elements from, long t, int h, double[] head) {
    long at = t * x.stride(0) + h * x.stride(1);
    for (int i = 0; i < dim; i++) {
      head[i] = from.get(at + i);
      if (!Double.isFinite(head[i])) {
        throw new NonFiniteInputException(what, i, (float) head[i]).at(what, layer, h, t);
      }
    }
  }

  /** Tokens whose keys were added. */
  public long tokens() {
    return tokens;
  }

  /** The mean key before the rotary embedding, a fresh array. */
  public double[] mean() {
    double[] mean = new double[keySum.length];
    for (int i = 0; i < mean.length; i++) {
      mean[i] = keySum[i] / tokens;
    }
    return mean;
  }

  /** {@code 2 sum q q^T} by kv head, lower triangles; empty if none were added. */
  public List<double[]> queryGrams() {
    return queryGrams;
  }

  /** {@code sum k k^T}, likewise. */
  public List<double[]> keyGrams() {
    return keyGrams;
  }

  /** {@code sum v v^T}, likewise. */
  public List<double[]> valueGrams() {
    return valueGrams;
  }

  /** {@code 2 sum W_O^T W_O}, likewise. */
  public List<double[]> outputGrams() {
    return outputGrams;
  }
}

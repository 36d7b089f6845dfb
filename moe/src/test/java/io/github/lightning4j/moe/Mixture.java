package io.github.lightning4j.moe;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;

/** A random mixture with its routing, and its answer in plain doubles. */
class Mixture implements AutoCloseable {
  final MemoryScope scope = new MemoryScope();
  final int tokens;
  final int hidden;
  final int inner;
  final int experts;
  final int slots;
  final Tensor x;
  final Tensor index;
  final Tensor weight;
  final Tensor out;
  final ExpertWeights weights;
  private final Random random;

  Mixture(int tokens, int hidden, int inner, int experts, int slots, DType dtype) {
    this.tokens = tokens;
    this.hidden = hidden;
    this.inner = inner;
    this.experts = experts;
    this.slots = slots;
    random = new Random(tokens * 31L + hidden * 7L + inner * 5L + experts * 3L + slots);
    x = normal(DType.F32, 1, tokens, hidden);
    out = scope.allocate(DType.F32, tokens, hidden);
    index = scope.allocate(DType.I32, tokens, slots);
    weight = scope.allocate(DType.F32, tokens, slots);
    weights = randomWeights(dtype);
    routeAtRandom();
  }

  private ExpertWeights randomWeights(DType dtype) {
    List<Tensor> gate = new ArrayList<>();
    List<Tensor> up = new ArrayList<>();
    List<Tensor> down = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      gate.add(normal(dtype, 1 / Math.sqrt(hidden), inner, hidden));
      up.add(normal(dtype, 1 / Math.sqrt(hidden), inner, hidden));
      down.add(normal(dtype, 1 / Math.sqrt(inner), hidden, inner));
    }
    return new ExpertWeights(gate, up, down);
  }

  /** Different experts for the choices of a token, shares that sum to 1. */
  private void routeAtRandom() {
    List<Integer> order = new ArrayList<>();
    for (int e = 0; e < experts; e++) {
      order.add(e);
    }
    for (int t = 0; t < tokens; t++) {
      Collections.shuffle(order, random);
      double total = 0;
      double[] share = new double[slots];
      for (int s = 0; s < slots; s++) {
        total += share[s] = 0.1 + random.nextDouble();
      }
      for (int s = 0; s < slots; s++) {
        choose(t, s, order.get(s), share[s] / total);
      }
    }
  }

  void choose(int token, int slot, int expert, double share) {
    index.accessor().setLong((long) token * slots + slot, expert);
    weight.accessor().set((long) token * slots + slot, share);
  }

  Tensor normal(DType dtype, double scale, long... shape) {
    Tensor tensor = scope.allocate(dtype, shape);
    Elements to = tensor.accessor();
    for (long i = 0; i < tensor.elements(); i++) {
      to.set(i, scale * random.nextGaussian());
    }
    return tensor;
  }

  float[] run(MixtureOfExperts experts, MoeWorkspace workspace) {
    experts.forward(x, weights, index, weight, workspace, out);
    return out.toFloats();
  }

  double[] truth() {
    return truth(x.toDoubles(), weight.toDoubles(), doubles(weights));
  }

  /** The weights as [gate, up, down][expert][...]. */
  static double[][][] doubles(ExpertWeights weights) {
    return new double[][][] {
      weights.gate().stream().map(Tensor::toDoubles).toArray(double[][]::new),
      weights.up().stream().map(Tensor::toDoubles).toArray(double[][]::new),
      weights.down().stream().map(Tensor::toDoubles).toArray(double[][]::new)
    };
  }

  double[] truth(double[] tokensIn, double[] shares, double[][][] w) {
    return truth(tokensIn, shares, w, row -> row);
  }

  /** The same with something done to each row between the layers. */
  double[] truth(
      double[] tokensIn, double[] shares, double[][][] w, UnaryOperator<double[]> between) {
    long[] chosen = index.toLongs();
    double[] sum = new double[tokens * hidden];
    for (int pair = 0; pair < tokens * slots; pair++) {
      int e = (int) chosen[pair];
      int t = pair / slots;
      double[] a = new double[inner];
      for (int i = 0; i < inner; i++) {
        double g = 0;
        double u = 0;
        for (int h = 0; h < hidden; h++) {
          g += w[0][e][i * hidden + h] * tokensIn[t * hidden + h];
          u += w[1][e][i * hidden + h] * tokensIn[t * hidden + h];
        }
        a[i] = g / (1 + Math.exp(-g)) * u;
      }
      a = between.apply(a);
      for (int h = 0; h < hidden; h++) {
        for (int i = 0; i < inner; i++) {
          sum[t * hidden + h] += shares[pair] * w[2][e][h * inner + i] * a[i];
        }
      }
    }
    return sum;
  }

  @Override
  public void close() {
    scope.close();
  }
}

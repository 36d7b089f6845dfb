package io.github.lightning4j.minimax.gradient;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import java.util.LinkedHashMap;
import java.util.Map;

/** Weights by name, and the gradients found for them. */
final class Gradients {
  private final Safetensors weights;
  private final Map<String, double[]> found = new LinkedHashMap<>();

  Gradients(Safetensors weights) {
    this.weights = weights;
  }

  Tensor tensor(String name) {
    return weights.tensor(name);
  }

  Linear linear(String name) {
    Tensor w = weights.tensor(name);
    return new Linear(w.toDoubles(), (int) w.size(1), (int) w.size(0));
  }

  RmsNorm norm(String name, double eps) {
    return new RmsNorm(weights.tensor(name).toDoubles(), eps);
  }

  /** The array that collects the gradient of a weight, zero at first. */
  double[] of(String name) {
    return found.computeIfAbsent(name, key -> new double[(int) weights.tensor(key).elements()]);
  }

  void add(String name, double[] gradient) {
    Gradients.addTo(of(name), gradient);
  }

  Map<String, double[]> all() {
    return found;
  }

  static void addTo(double[] sum, double[] term) {
    for (int i = 0; i < sum.length; i++) {
      sum[i] += term[i];
    }
  }

  /** {@code a x + b y}. */
  static double[] mix(double a, double[] x, double b, double[] y) {
    double[] sum = new double[x.length];
    for (int i = 0; i < sum.length; i++) {
      sum[i] = a * x[i] + b * y[i];
    }
    return sum;
  }

  static float[] floats(double[] values) {
    float[] narrow = new float[values.length];
    for (int i = 0; i < narrow.length; i++) {
      narrow[i] = (float) values[i];
    }
    return narrow;
  }
}

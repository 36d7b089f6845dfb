package io.github.lightning4j.moe;

import io.github.lightning4j.core.Bfloat16;
import java.util.function.DoubleUnaryOperator;

/**
 * The gradients of a mixture pair by pair in double, with the roundings that the GPU states, or
 * without: [dx, dWeight], and [dW1, dW3, dW2] of all experts, one after another.
 */
final class RoundedGradients {
  final double[] dx;
  final double[] dWeight;
  final double[][] dMatrices;
  private final double[][][] w;
  private final int hidden;
  private final int inner;
  private final DoubleUnaryOperator round;

  RoundedGradients(CudaScene scene, double[] dOut, boolean rounded) {
    w = Mixture.doubles((ExpertWeights) scene.experts);
    hidden = scene.hidden;
    inner = (int) scene.experts.intermediate();
    round = rounded ? RoundedGradients::bf16 : DoubleUnaryOperator.identity();
    dx = new double[scene.tokens * hidden];
    long[] chosen = scene.index.toLongs();
    double[] shares = scene.weight.toDoubles();
    dWeight = new double[chosen.length];
    dMatrices = new double[3][scene.experts.experts() * hidden * inner];
    double[] x = scene.x.toDoubles();
    for (int pair = 0; pair < chosen.length; pair++) {
      int token = pair / scene.options.k();
      dWeight[pair] = add(x, dOut, token * hidden, (int) chosen[pair], shares[pair]);
    }
  }

  private static double bf16(double x) {
    return Bfloat16.toFloat(Bfloat16.fromFloat((float) x));
  }

  /** Adds what one pair contributes; the gradient of its share. */
  private double add(double[] x, double[] d, int at, int e, double share) {
    double along = 0;
    for (int i = 0; i < inner; i++) {
      double g = 0;
      double u = 0;
      double q = 0;
      for (int h = 0; h < hidden; h++) {
        g += w[0][e][i * hidden + h] * x[at + h];
        u += w[1][e][i * hidden + h] * x[at + h];
        q += w[2][e][h * inner + i] * d[at + h];
      }
      double s = 1 / (1 + Math.exp(-g));
      along += g * s * u * q;
      double dg = round.applyAsDouble(share * q * u * s * (1 + g * (1 - s)));
      double du = round.applyAsDouble(share * q * g * s);
      double weighted = round.applyAsDouble(share * g * s * u);
      int row = (e * inner + i) * hidden;
      for (int h = 0; h < hidden; h++) {
        dx[at + h] += w[0][e][i * hidden + h] * dg + w[1][e][i * hidden + h] * du;
        dMatrices[0][row + h] += dg * x[at + h];
        dMatrices[1][row + h] += du * x[at + h];
        dMatrices[2][(e * hidden + h) * inner + i] += d[at + h] * weighted;
      }
    }
    return along;
  }
}

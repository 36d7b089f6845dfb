package io.github.lightning4j.cispo.head;

import java.util.function.DoubleUnaryOperator;

/** The formulas over whole logits, in double. */
final class PlainHead {
  final double[] logProb;
  final double[] logSumExp;
  final double[] entropy;
  private final double[][] logProbs;
  private final double[][] hidden;
  private final double[][] head;
  private final int[] targets;
  private final double temperature;
  private DoubleUnaryOperator rounding = DoubleUnaryOperator.identity();

  PlainHead(double[][] hidden, double[][] head, int[] targets, double temperature) {
    this.hidden = hidden;
    this.head = head;
    this.targets = targets;
    this.temperature = temperature;
    int tokens = hidden.length;
    logProb = new double[tokens];
    logSumExp = new double[tokens];
    entropy = new double[tokens];
    logProbs = new double[tokens][head.length];
    for (int t = 0; t < tokens; t++) {
      double most = Double.NEGATIVE_INFINITY;
      for (int v = 0; v < head.length; v++) {
        for (int h = 0; h < hidden[t].length; h++) {
          logProbs[t][v] += hidden[t][h] * head[v][h] / temperature;
        }
        most = Math.max(most, logProbs[t][v]);
      }
      double sum = 0;
      for (double logit : logProbs[t]) {
        sum += Math.exp(logit - most);
      }
      logSumExp[t] = most + Math.log(sum);
      for (int v = 0; v < head.length; v++) {
        logProbs[t][v] -= logSumExp[t];
        entropy[t] -= Math.exp(logProbs[t][v]) * logProbs[t][v];
      }
      logProb[t] = logProbs[t][targets[t]];
    }
  }

  /** Gradients of logits are rounded from now on, as an implementation says it does. */
  PlainHead rounding(DoubleUnaryOperator how) {
    rounding = how;
    return this;
  }

  private double[][] dLogits(double[] dLogProb, double[] dEntropy) {
    double[][] d = new double[hidden.length][head.length];
    for (int t = 0; t < d.length; t++) {
      for (int v = 0; v < head.length; v++) {
        double p = Math.exp(logProbs[t][v]);
        double hit = v == targets[t] ? 1 : 0;
        d[t][v] =
            rounding.applyAsDouble(
                (dLogProb[t] * (hit - p) - dEntropy[t] * p * (logProbs[t][v] + entropy[t]))
                    / temperature);
      }
    }
    return d;
  }

  /** {@code [T H]}, row after row. */
  double[] dHidden(double[] dLogProb, double[] dEntropy) {
    double[][] d = dLogits(dLogProb, dEntropy);
    int width = head[0].length;
    double[] out = new double[hidden.length * width];
    for (int t = 0; t < d.length; t++) {
      for (int v = 0; v < head.length; v++) {
        for (int h = 0; h < width; h++) {
          out[t * width + h] += d[t][v] * head[v][h];
        }
      }
    }
    return out;
  }

  /** {@code [V H]}, row after row. */
  double[] dHead(double[] dLogProb, double[] dEntropy) {
    double[][] d = dLogits(dLogProb, dEntropy);
    int width = head[0].length;
    double[] out = new double[head.length * width];
    for (int t = 0; t < d.length; t++) {
      for (int v = 0; v < head.length; v++) {
        for (int h = 0; h < width; h++) {
          out[v * width + h] += d[t][v] * hidden[t][h];
        }
      }
    }
    return out;
  }
}

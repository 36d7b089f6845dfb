package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.cispo.head.HeadGradients;
import io.github.lightning4j.cispo.head.HeadInput;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/** The formulas of the facade, one token after another, in double. */
final class ReferenceHead implements HeadKernels {
  @Override
  public void forward(HeadInput input, HeadOutput out) {
    Rows rows = new Rows(input);
    for (int t = 0; t < input.tokens(); t++) {
      double[] logProbs = rows.logits(t);
      double logSumExp = logSumExp(logProbs);
      double entropy = 0;
      for (int v = 0; v < logProbs.length; v++) {
        logProbs[v] -= logSumExp;
        entropy -= Math.exp(logProbs[v]) * logProbs[v];
      }
      out.logProb().accessor().set(t, logProbs[rows.targets[t]]);
      out.logSumExp().accessor().set(t, logSumExp);
      if (out.entropy() != null) {
        out.entropy().accessor().set(t, entropy);
      }
    }
  }

  private static double logSumExp(double[] logits) {
    double most = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      most = Math.max(most, logit);
    }
    double sum = 0;
    for (double logit : logits) {
      sum += Math.exp(logit - most);
    }
    return most + Math.log(sum);
  }

  @Override
  public void backward(HeadInput input, HeadOutput forward, HeadGradients gradients) {
    Rows rows = new Rows(input);
    double[][] dHead = new double[(int) input.vocabulary()][(int) input.width()];
    for (int t = 0; t < input.tokens(); t++) {
      double[] dHidden = new double[(int) input.width()];
      double[] hidden = rows.hidden(t);
      double[] dLogits =
          gradients.areZero(t) ? new double[0] : dLogits(rows, t, forward, gradients);
      for (int v = 0; v < dLogits.length; v++) {
        double[] word = rows.head(v);
        for (int h = 0; h < dHidden.length; h++) {
          dHidden[h] += dLogits[v] * word[h] / input.temperature();
          dHead[v][h] += dLogits[v] * hidden[h] / input.temperature();
        }
      }
      if (gradients.outDHidden() != null) {
        write(dHidden, gradients.outDHidden().select(0, t), false);
      }
    }
    Tensor outDHead = gradients.outDHead();
    for (int v = 0; outDHead != null && v < dHead.length; v++) {
      write(dHead[v], outDHead.select(0, v), gradients.addToDHead());
    }
  }

  private static double[] dLogits(Rows rows, int t, HeadOutput forward, HeadGradients gradients) {
    double[] d = rows.logits(t);
    double logSumExp = forward.logSumExp().accessor().get(t);
    double dLogProb = gradients.dLogProb().accessor().get(t);
    double dEntropy = at(gradients.dEntropy(), t);
    double entropy = dEntropy == 0 ? 0 : at(forward.entropy(), t);
    for (int v = 0; v < d.length; v++) {
      boolean hit = v == rows.targets[t];
      double logProb = hit ? forward.logProb().accessor().get(t) : d[v] - logSumExp;
      double p = Math.exp(logProb);
      d[v] = -dLogProb * (hit ? Math.expm1(logProb) : p) - dEntropy * p * (logProb + entropy);
    }
    return d;
  }

  private static double at(@Nullable Tensor tensor, int t) {
    return tensor == null ? 0 : tensor.accessor().get(t);
  }

  private static void write(double[] values, Tensor row, boolean add) {
    Elements to = row.accessor();
    for (int h = 0; h < values.length; h++) {
      to.set(h, add ? to.get(h) + values[h] : values[h]);
    }
  }

  /** The operands in double. */
  private static final class Rows {
    private final HeadInput input;
    private final int[] targets;

    Rows(HeadInput input) {
      this.input = input;
      targets = Targets.copy(input.targets(), input.vocabulary());
    }

    double[] hidden(int t) {
      return input.hidden().select(0, t).toDoubles();
    }

    double[] head(int v) {
      return input.head().select(0, v).toDoubles();
    }

    double[] logits(int t) {
      double[] hidden = hidden(t);
      double[] logits = new double[(int) input.vocabulary()];
      for (int v = 0; v < logits.length; v++) {
        double[] word = head(v);
        for (int h = 0; h < hidden.length; h++) {
          logits[v] += hidden[h] * word[h];
        }
        logits[v] /= input.temperature();
      }
      return logits;
    }
  }
}

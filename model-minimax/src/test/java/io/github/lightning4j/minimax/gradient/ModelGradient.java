package io.github.lightning4j.minimax.gradient;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.MiniMaxConfig.Mix;
import io.github.lightning4j.minimax.Session;
import io.github.lightning4j.moe.loss.AuxLoss;
import java.util.ArrayList;
import java.util.List;

/**
 * Loss and gradient of a post-norm model on one sequence: mean cross entropy of the next token
 * where the label is not -100, plus a balance loss. The forward pass is the model's own; each layer
 * is recomputed from the stream that went into it.
 */
final class ModelGradient implements ForwardObserver {
  private final MiniMaxConfig config;
  private final Gradients gradients;
  private final Backend backend;
  private final List<double[]> streams = new ArrayList<>();
  private final List<double[]> routerLogits = new ArrayList<>();
  private double crossEntropy;
  private double balance;

  ModelGradient(MiniMaxConfig config, Gradients gradients, Backend backend) {
    this.config = config;
    this.gradients = gradients;
    this.backend = backend;
  }

  double crossEntropy() {
    return crossEntropy;
  }

  double balance() {
    return balance;
  }

  @Override
  public void hidden(int layer, Tensor stream) {
    streams.add(stream.toDoubles());
  }

  @Override
  public void router(int layer, Tensor logits, Tensor index, Tensor weight) {
    routerLogits.add(logits.toDoubles());
  }

  void run(Session session, int[] ids, long[] labels, double auxCoefficient) {
    List<double[]> aux;
    double[] dLogits;
    try (Tensor logits = Tensor.allocate(DType.F32, ids.length, config.vocabSize())) {
      session.forward(ids, this, logits);
      dLogits = crossEntropyGradient(logits.toDoubles(), labels);
      aux = balanceGradients(ids.length, auxCoefficient);
    }
    int layers = config.layers().size();
    RmsNorm finalNorm = gradients.norm("model.norm.weight", config.rmsNormEps());
    Linear head = gradients.linear("lm_head.weight");
    double[] last = streams.get(layers);
    gradients.add("lm_head.weight", head.weightGradient(finalNorm.forward(last), dLogits));
    double[] d =
        finalNorm.backward(last, head.inputGradient(dLogits), gradients.of("model.norm.weight"));
    for (int i = layers - 1; i >= 0; i--) {
      d = layer(i, streams.get(i), d, aux.get(i));
    }
    embedding(ids, d);
  }

  /** Back through one layer: y = a n + b attention(n), x' = c m + e experts(m). */
  private double[] layer(int i, double[] x, double[] dNext, double[] aux) {
    String name = "model.layers." + i + ".";
    RmsNorm inputNorm = gradients.norm(name + "input_layernorm.weight", config.rmsNormEps());
    RmsNorm postNorm =
        gradients.norm(name + "post_attention_layernorm.weight", config.rmsNormEps());
    boolean lightning = config.layers().get(i) == LayerKind.LIGHTNING;
    Mix mix = lightning ? config.residuals().lightning() : config.residuals().softmax();
    Mix mlp = config.residuals().mlp();
    double[] n = inputNorm.forward(x);
    double[] y = attended(i, n, mix);
    double[] m = postNorm.forward(y);
    double[] dBranch = Gradients.mix(mlp.beta(), dNext, 0, dNext);
    double[] dm =
        Gradients.mix(
            mlp.alpha(),
            dNext,
            1,
            new MoeGradient(config, gradients, backend, i).backward(m, dBranch, aux));
    double[] dy = postNorm.backward(y, dm, gradients.of(name + "post_attention_layernorm.weight"));
    double[] dAttention = Gradients.mix(mix.beta(), dy, 0, dy);
    double[] through =
        lightning
            ? new LightningGradient(config, gradients, backend, i).backward(n, dAttention)
            : new SoftmaxGradient(config, gradients, i).backward(n, dAttention);
    double[] dn = Gradients.mix(mix.alpha(), dy, 1, through);
    return inputNorm.backward(x, dn, gradients.of(name + "input_layernorm.weight"));
  }

  private double[] attended(int i, double[] n, Mix mix) {
    double[] branch =
        config.layers().get(i) == LayerKind.LIGHTNING
            ? new LightningGradient(config, gradients, backend, i).forward(n)
            : new SoftmaxGradient(config, gradients, i).forward(n);
    return Gradients.mix(mix.alpha(), n, mix.beta(), branch);
  }

  private double[] crossEntropyGradient(double[] logits, long[] labels) {
    int v = config.vocabSize();
    int count = 0;
    for (int t = 1; t < labels.length; t++) {
      count += labels[t] == -100 ? 0 : 1;
    }
    double[] d = new double[logits.length];
    for (int t = 0; t + 1 < labels.length; t++) {
      if (labels[t + 1] == -100) {
        continue;
      }
      double sum = 0;
      for (int i = 0; i < v; i++) {
        sum += Math.exp(logits[t * v + i]);
      }
      int label = (int) labels[t + 1];
      crossEntropy += (Math.log(sum) - logits[t * v + label]) / count;
      for (int i = 0; i < v; i++) {
        d[t * v + i] = (Math.exp(logits[t * v + i]) / sum - (i == label ? 1 : 0)) / count;
      }
    }
    return d;
  }

  private List<double[]> balanceGradients(int rows, double coefficient) {
    int experts = config.experts().experts();
    try (MemoryScope scope = new MemoryScope()) {
      List<Tensor> logits = new ArrayList<>();
      List<Tensor> out = new ArrayList<>();
      for (double[] layer : routerLogits) {
        logits.add(scope.add(Tensor.of(Gradients.floats(layer), rows, experts)));
        out.add(scope.allocate(DType.F32, rows, experts));
      }
      balance = AuxLoss.hfPooled(logits, config.experts().expertsPerToken(), null, out);
      List<double[]> scaled = new ArrayList<>();
      out.forEach(g -> scaled.add(Gradients.mix(coefficient, g.toDoubles(), 0, g.toDoubles())));
      return scaled;
    }
  }

  private void embedding(int[] ids, double[] d) {
    double[] table = gradients.of("model.embed_tokens.weight");
    int hidden = config.hiddenSize();
    for (int t = 0; t < ids.length; t++) {
      for (int i = 0; i < hidden; i++) {
        table[ids[t] * hidden + i] += d[t * hidden + i];
      }
    }
  }
}

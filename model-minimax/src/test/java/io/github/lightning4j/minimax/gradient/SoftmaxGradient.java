package io.github.lightning4j.minimax.gradient;

import io.github.lightning4j.minimax.MiniMaxConfig;

/** Backward of a softmax attention layer: projections, rotary embedding, causal attention. */
final class SoftmaxGradient {
  private final MiniMaxConfig.AttentionConfig sizes;
  private final Gradients gradients;
  private final String name;

  SoftmaxGradient(MiniMaxConfig config, Gradients gradients, int layer) {
    this.sizes = config.attention();
    this.gradients = gradients;
    this.name = "model.layers." + layer + ".self_attn.";
  }

  /** The layer's output. */
  double[] forward(double[] normed) {
    double[] q = rotate(gradients.linear(name + "q_proj.weight").forward(normed), sizes.heads(), 1);
    double[] k =
        rotate(gradients.linear(name + "k_proj.weight").forward(normed), sizes.kvHeads(), 1);
    double[] v = gradients.linear(name + "v_proj.weight").forward(normed);
    double[] heads = new double[q.length];
    double[] none = new double[q.length];
    for (int head = 0; head < sizes.heads(); head++) {
      for (int t = 0; t < q.length / sizes.width(); t++) {
        row(head, t, q, k, v, heads, none, none.clone(), k.clone(), v.clone());
      }
    }
    return gradients.linear(name + "o_proj.weight").forward(heads);
  }

  /** The gradient of the normed input, given that of the layer's output. */
  double[] backward(double[] normed, double[] dOut) {
    Linear toQ = gradients.linear(name + "q_proj.weight");
    Linear toK = gradients.linear(name + "k_proj.weight");
    Linear toV = gradients.linear(name + "v_proj.weight");
    Linear out = gradients.linear(name + "o_proj.weight");
    double[] q = rotate(toQ.forward(normed), sizes.heads(), 1);
    double[] k = rotate(toK.forward(normed), sizes.kvHeads(), 1);
    double[] v = toV.forward(normed);
    int tokens = q.length / sizes.width();
    double[] heads = new double[q.length];
    double[] dHeads = out.inputGradient(dOut);
    double[] dq = new double[q.length];
    double[] dk = new double[k.length];
    double[] dv = new double[v.length];
    for (int head = 0; head < sizes.heads(); head++) {
      for (int t = 0; t < tokens; t++) {
        row(head, t, q, k, v, heads, dHeads, dq, dk, dv);
      }
    }
    gradients.add(name + "o_proj.weight", out.weightGradient(heads, dOut));
    dq = rotate(dq, sizes.heads(), -1);
    dk = rotate(dk, sizes.kvHeads(), -1);
    gradients.add(name + "q_proj.weight", toQ.weightGradient(normed, dq));
    gradients.add(name + "k_proj.weight", toK.weightGradient(normed, dk));
    gradients.add(name + "v_proj.weight", toV.weightGradient(normed, dv));
    double[] dn = toQ.inputGradient(dq);
    Gradients.addTo(dn, toK.inputGradient(dk));
    Gradients.addTo(dn, toV.inputGradient(dv));
    return dn;
  }

  /** One query: forward into heads, and its share of all gradients. */
  private void row(
      int head,
      int t,
      double[] q,
      double[] k,
      double[] v,
      double[] heads,
      double[] dHeads,
      double[] dq,
      double[] dk,
      double[] dv) {
    int d = sizes.headDim();
    int kvHead = head / (sizes.heads() / sizes.kvHeads());
    int qAt = t * sizes.width() + head * d;
    double scale = 1 / Math.sqrt(d);
    double[] p = probabilities(q, qAt, k, kvHead, t, scale);
    double[] dp = new double[t + 1];
    double mean = 0;
    for (int s = 0; s <= t; s++) {
      int at = s * sizes.kvWidth() + kvHead * d;
      for (int i = 0; i < d; i++) {
        heads[qAt + i] += p[s] * v[at + i];
        dv[at + i] += p[s] * dHeads[qAt + i];
        dp[s] += dHeads[qAt + i] * v[at + i];
      }
      mean += p[s] * dp[s];
    }
    for (int s = 0; s <= t; s++) {
      int at = s * sizes.kvWidth() + kvHead * d;
      double dScore = p[s] * (dp[s] - mean) * scale;
      for (int i = 0; i < d; i++) {
        dq[qAt + i] += dScore * k[at + i];
        dk[at + i] += dScore * q[qAt + i];
      }
    }
  }

  private double[] probabilities(double[] q, int qAt, double[] k, int kvHead, int t, double scale) {
    double[] p = new double[t + 1];
    double highest = Double.NEGATIVE_INFINITY;
    for (int s = 0; s <= t; s++) {
      int at = s * sizes.kvWidth() + kvHead * sizes.headDim();
      for (int i = 0; i < sizes.headDim(); i++) {
        p[s] += q[qAt + i] * k[at + i] * scale;
      }
      highest = Math.max(highest, p[s]);
    }
    double sum = 0;
    for (int s = 0; s <= t; s++) {
      p[s] = Math.exp(p[s] - highest);
      sum += p[s];
    }
    for (int s = 0; s <= t; s++) {
      p[s] /= sum;
    }
    return p;
  }

  /** Rotates by the position (direction 1) or back (-1, which is the transpose). */
  private double[] rotate(double[] x, int heads, int direction) {
    double[] y = x.clone();
    int d = sizes.headDim();
    int half = sizes.rotaryDim() / 2;
    for (int at = 0; at < x.length; at += d) {
      int t = at / (heads * d);
      for (int j = 0; j < half; j++) {
        double angle = t * Math.pow(sizes.ropeTheta(), -2.0 * j / sizes.rotaryDim());
        double cos = Math.cos(angle);
        double sin = direction * Math.sin(angle);
        y[at + j] = x[at + j] * cos - x[at + j + half] * sin;
        y[at + j + half] = x[at + j + half] * cos + x[at + j] * sin;
      }
    }
    return y;
  }
}

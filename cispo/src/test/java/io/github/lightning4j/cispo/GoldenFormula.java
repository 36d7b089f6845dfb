package io.github.lightning4j.cispo;

import com.fasterxml.jackson.databind.JsonNode;

/** The gradients of the golden data from the formulas that its README states. */
record GoldenFormula(
    JsonNode variant, TokenBatch batch, double[] advantages, double[][] reference) {
  double[][] gradient() {
    double[][] gradient = batch.logProbs();
    double[][] old = batch.oldLogProbs();
    boolean[][] mask = batch.mask();
    for (int i = 0; i < gradient.length; i++) {
      double[] logRatios = new double[gradient[i].length];
      double sum = 0;
      int n = 0;
      for (int t = 0; t < logRatios.length; t++) {
        logRatios[t] = gradient[i][t] - old[i][t];
        sum += mask[i][t] ? logRatios[t] : 0;
        n += mask[i][t] ? 1 : 0;
      }
      boolean ofSequence = variant.path("level").asText().equals("sequence");
      for (int t = 0; t < logRatios.length; t++) {
        double ratio = Math.exp(ofSequence ? sum / n : logRatios[t]);
        double k3 = 1 - Math.exp(reference[i][t] - gradient[i][t]);
        double each = -weight(ratio, advantages[i]) * advantages[i] + number("beta", 0) * k3;
        gradient[i][t] = mask[i][t] ? each / divisor(n, mask.length, logRatios.length) : 0;
      }
    }
    return gradient;
  }

  private double weight(double r, double advantage) {
    double low = 1 - number("el", Double.POSITIVE_INFINITY);
    double high = 1 + number("eh", Double.NaN);
    boolean up = advantage > 0;
    switch (variant.required("t").asText()) {
      case "cispo":
        return Math.min(r, high - 1);
      case "cispo_paper":
        return Math.max(low, Math.min(r, high));
      case "cispo_unified":
        boolean masked = up ? r > 1 + number("mh", 0) : r < 1 - number("ml", 0);
        return masked ? 0 : Math.min(r, high);
      default:
        return (up ? r > high : r < low) ? 0 : r;
    }
  }

  private double divisor(int own, int sequences, int longest) {
    switch (variant.required("t").asText()) {
      case "grpo":
        return (double) sequences * own;
      case "dr_grpo":
        return (double) sequences * longest;
      default:
        return batch.counts().tokens();
    }
  }

  private double number(String name, double otherwise) {
    return variant.has(name) ? variant.get(name).asDouble() : otherwise;
  }
}

package io.github.lightning4j.examples.learning;

import io.github.lightning4j.cispo.recipe.AdamWOptions;

/** AdamW as {@link AdamWOptions} writes it. */
final class AdamW {
  private final AdamWOptions options;
  private final double[] first;
  private final double[] second;
  private int steps;

  AdamW(AdamWOptions options, int parameters) {
    this.options = options;
    this.first = new double[parameters];
    this.second = new double[parameters];
  }

  /** Changes the parameters by one step. */
  void step(double[] parameters, double[] gradient) {
    steps++;
    double beta1 = options.beta1();
    double beta2 = options.beta2();
    double firstScale = 1 / (1 - Math.pow(beta1, steps));
    double secondScale = 1 / (1 - Math.pow(beta2, steps));
    for (int i = 0; i < parameters.length; i++) {
      first[i] = beta1 * first[i] + (1 - beta1) * gradient[i];
      second[i] = beta2 * second[i] + (1 - beta2) * gradient[i] * gradient[i];
      double step =
          first[i] * firstScale / (Math.sqrt(second[i] * secondScale) + options.epsilon());
      parameters[i] -= options.learningRate() * (step + options.weightDecay() * parameters[i]);
    }
  }
}

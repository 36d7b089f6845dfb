package io.github.lightning4j.examples.learning;

import java.util.random.RandomGenerator;

/**
 * The smallest autoregressive policy that can do the task: what is known of the prompt and of the
 * answer so far is summed up in one layer of hidden units, from which the next digit is drawn.
 *
 * <pre>
 *   h_t = tanh(position_t + sum_i prompt_i,x_i + sum_j&lt;t answer_j,y_j)      (rows of width H)
 *   log p(y_t = d) = logit_d - log sum_e exp logit_e,  logit = head h_t + bias
 * </pre>
 *
 * <p>All parameters lie in one array, so that an optimizer need not know what they are.
 */
final class DigitPolicy {
  private final SortingTask task;
  private final int width;
  private final int answers;
  private final int positions;
  private final int head;
  private final int bias;
  private final double[] parameters;

  DigitPolicy(SortingTask task, int width, RandomGenerator random) {
    this.task = task;
    this.width = width;
    int symbols = task.length() * task.digits();
    answers = symbols * width;
    positions = 2 * symbols * width;
    head = positions + task.length() * width;
    bias = head + task.digits() * width;
    parameters = new double[bias + task.digits()];
    for (int i = 0; i < head; i++) {
      parameters[i] = 0.5 * random.nextGaussian() / Math.sqrt(2);
    }
    for (int i = head; i < bias; i++) {
      parameters[i] = 0.1 * random.nextGaussian() / Math.sqrt(width);
    }
  }

  /** The array itself, for an optimizer to change. */
  double[] parameters() {
    return parameters;
  }

  /** One position of one answer. */
  private final class Step {
    private final double[] hidden = new double[width];
    private final double[] logProbs = new double[task.digits()];

    void forward(int[] prompt, int[] answer, int t) {
      System.arraycopy(parameters, positions + t * width, hidden, 0, width);
      for (int i = 0; i < prompt.length; i++) {
        add(row(i, prompt[i]));
      }
      for (int j = 0; j < t; j++) {
        add(answers + row(j, answer[j]));
      }
      for (int h = 0; h < width; h++) {
        hidden[h] = Math.tanh(hidden[h]);
      }
      double sum = 0;
      for (int d = 0; d < logProbs.length; d++) {
        double logit = parameters[bias + d];
        for (int h = 0; h < width; h++) {
          logit += parameters[head + d * width + h] * hidden[h];
        }
        logProbs[d] = logit;
        sum += Math.exp(logit);
      }
      for (int d = 0; d < logProbs.length; d++) {
        logProbs[d] -= Math.log(sum);
      }
    }

    private int row(int position, int digit) {
      return (position * task.digits() + digit) * width;
    }

    private void add(int row) {
      for (int h = 0; h < width; h++) {
        hidden[h] += parameters[row + h];
      }
    }

    /** Adds to the gradient of the parameters what the log-probability of a digit gives. */
    void backward(int[] prompt, int[] answer, int t, double dLogProb, double[] gradient) {
      double[] dHidden = new double[width];
      for (int d = 0; d < logProbs.length; d++) {
        double dLogit = dLogProb * ((d == answer[t] ? 1 : 0) - Math.exp(logProbs[d]));
        gradient[bias + d] += dLogit;
        for (int h = 0; h < width; h++) {
          gradient[head + d * width + h] += dLogit * hidden[h];
          dHidden[h] += dLogit * parameters[head + d * width + h];
        }
      }
      for (int h = 0; h < width; h++) {
        dHidden[h] *= 1 - hidden[h] * hidden[h];
      }
      spread(dHidden, positions + t * width, gradient);
      for (int i = 0; i < prompt.length; i++) {
        spread(dHidden, row(i, prompt[i]), gradient);
      }
      for (int j = 0; j < t; j++) {
        spread(dHidden, answers + row(j, answer[j]), gradient);
      }
    }

    private void spread(double[] dHidden, int row, double[] gradient) {
      for (int h = 0; h < width; h++) {
        gradient[row + h] += dHidden[h];
      }
    }
  }

  /** An answer drawn from the policy, with the log-probability of each of its digits. */
  Sample sample(int[] prompt, RandomGenerator random) {
    Step step = new Step();
    int[] answer = new int[task.length()];
    double[] logProbs = new double[answer.length];
    for (int t = 0; t < answer.length; t++) {
      step.forward(prompt, answer, t);
      double left = random.nextDouble();
      while (answer[t] < task.digits() - 1 && (left -= Math.exp(step.logProbs[answer[t]])) > 0) {
        answer[t]++;
      }
      logProbs[t] = step.logProbs[answer[t]];
    }
    return new Sample(prompt, answer, logProbs, task.reward(prompt, answer));
  }

  /** The log-probabilities of the digits of an answer. */
  double[] logProbs(Sample sample) {
    Step step = new Step();
    double[] logProbs = new double[task.length()];
    for (int t = 0; t < logProbs.length; t++) {
      step.forward(sample.prompt(), sample.answer(), t);
      logProbs[t] = step.logProbs[sample.answer()[t]];
    }
    return logProbs;
  }

  /** Adds the gradient of the parameters, given that of the log-probabilities. */
  void backward(Sample sample, double[] dLogProbs, double[] gradient) {
    Step step = new Step();
    for (int t = 0; t < dLogProbs.length; t++) {
      if (dLogProbs[t] != 0) {
        step.forward(sample.prompt(), sample.answer(), t);
        step.backward(sample.prompt(), sample.answer(), t, dLogProbs[t], gradient);
      }
    }
  }
}

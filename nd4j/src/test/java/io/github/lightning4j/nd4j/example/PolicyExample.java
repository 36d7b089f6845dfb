package io.github.lightning4j.nd4j.example;

import io.github.lightning4j.cispo.Cispo;
import io.github.lightning4j.cispo.LossResult;
import io.github.lightning4j.cispo.PolicyLoss;
import io.github.lightning4j.cispo.TokenBatch;
import io.github.lightning4j.cispo.recipe.Advantages;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/**
 * Trains a policy of SameDiff with a loss of {@code cispo}.
 *
 * <p>The task: there are {@link #PROMPTS} prompts, and each has one right answer of {@link #TOKENS}
 * symbols, which nobody tells. A reward of 1 for the whole of it is all there is to learn from.
 *
 * <pre>
 * logProb = sum(logSoftmax(x w) * chosen)   SameDiff
 * dLogProb = loss'(logProb, ...)            cispo
 * carried = sum(logProb * dLogProb)         d carried / d w = d loss / d w
 * </pre>
 *
 * <p>{@code carried} hands the gradient back to SameDiff: dLogProb is a constant there.
 */
final class PolicyExample {
  static final int PROMPTS = 4;
  static final int TOKENS = 3;
  static final int SYMBOLS = 4;
  private static final int ANSWERS = 16;
  private static final int UPDATES = 8;

  /** Answers of one rollout: a row a token, answer after answer, prompt after prompt. */
  record Rollout(int[][] answers, double[][] logProbs, double[] rewards, int[] prompts) {}

  private final SameDiff graph = SameDiff.create();
  private final PolicyLoss loss;
  private final Random random;
  private final int[][] right;

  PolicyExample(PolicyLoss loss, long seed) {
    this.loss = loss;
    random = new Random(seed);
    right = IntStream.range(0, PROMPTS).mapToObj(p -> symbols()).toArray(int[][]::new);
    int rows = PROMPTS * ANSWERS * TOKENS;
    SDVariable x = graph.placeHolder("x", DataType.DOUBLE, rows, PROMPTS * TOKENS);
    SDVariable chosen = graph.placeHolder("chosen", DataType.DOUBLE, rows, SYMBOLS);
    SDVariable w = graph.var("w", Nd4j.zeros(DataType.DOUBLE, PROMPTS * TOKENS, SYMBOLS));
    SDVariable logProbs = graph.nn().logSoftmax("logProbs", x.mmul(w));
    SDVariable logProb = logProbs.mul(chosen).sum("logProb", 1);
    SDVariable dLogProb = graph.placeHolder("dLogProb", DataType.DOUBLE, rows);
    logProb.mul(dLogProb).sum("carried");
    graph.setLossVariables("carried");
    graph.setTrainingConfig(
        TrainingConfig.builder()
            .updater(new Adam(0.05))
            .dataSetFeatureMapping("x", "chosen", "dLogProb")
            .markLabelsUnused()
            .build());
  }

  private int[] symbols() {
    return random.ints(TOKENS, 0, SYMBOLS).toArray();
  }

  // snippet
  /** Samples answers, then learns from them: all updates but the first are off-policy. */
  double step() {
    Rollout rollout = sample();
    for (int i = 0; i < UPDATES; i++) {
      INDArray dLogProb = Nd4j.create(flat(evaluate(rollout).gradient()));
      graph.fit(new MultiDataSet(new INDArray[] {x(), chosen(rollout), dLogProb}, new INDArray[0]));
    }
    return Arrays.stream(rollout.rewards()).average().orElseThrow();
  }

  /** The loss of the policy as it stands now, on answers of the one that sampled. */
  LossResult evaluate(Rollout rollout) {
    INDArray now =
        graph.output(Map.of("x", x(), "chosen", chosen(rollout)), "logProb").get("logProb");
    return loss.evaluate(
        TokenBatch.ragged(
            now.reshape(PROMPTS * ANSWERS, TOKENS).toDoubleMatrix(),
            rollout.logProbs(),
            Advantages.groupStandardized(rollout.rewards(), rollout.prompts())));
  }

  // end of snippet

  Rollout sample() {
    double[][] logProbs =
        graph.output(Map.of("x", x()), "logProbs").get("logProbs").toDoubleMatrix();
    int n = PROMPTS * ANSWERS;
    Rollout rollout =
        new Rollout(new int[n][TOKENS], new double[n][TOKENS], new double[n], new int[n]);
    for (int i = 0; i < n; i++) {
      for (int t = 0; t < TOKENS; t++) {
        double[] row = logProbs[i * TOKENS + t];
        int symbol = 0;
        double left = random.nextDouble();
        while (symbol < SYMBOLS - 1 && (left -= Math.exp(row[symbol])) > 0) {
          symbol++;
        }
        rollout.answers()[i][t] = symbol;
        rollout.logProbs()[i][t] = row[symbol];
      }
      rollout.prompts()[i] = i / ANSWERS;
      rollout.rewards()[i] = Arrays.equals(rollout.answers()[i], right[i / ANSWERS]) ? 1 : 0;
    }
    return rollout;
  }

  /** One-hot: which prompt, and which position of its answer. */
  static INDArray x() {
    INDArray x = Nd4j.zeros(DataType.DOUBLE, PROMPTS * ANSWERS * TOKENS, PROMPTS * TOKENS);
    for (int row = 0; row < x.rows(); row++) {
      x.putScalar(row, row / (ANSWERS * TOKENS) * TOKENS + row % TOKENS, 1);
    }
    return x;
  }

  static INDArray chosen(Rollout rollout) {
    INDArray chosen = Nd4j.zeros(DataType.DOUBLE, PROMPTS * ANSWERS * TOKENS, SYMBOLS);
    for (int row = 0; row < chosen.rows(); row++) {
      chosen.putScalar(row, rollout.answers()[row / TOKENS][row % TOKENS], 1);
    }
    return chosen;
  }

  static double[] flat(double[][] rows) {
    return Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
  }

  SameDiff graph() {
    return graph;
  }

  public static void main(String[] args) {
    PolicyExample policy = new PolicyExample(Cispo.maxWeight(5), 1);
    for (int rollout = 0; rollout < 40; rollout++) {
      System.out.printf("rollout %2d  reward %.3f%n", rollout, policy.step());
    }
  }
}

package io.github.lightning4j.jmh;

import io.github.lightning4j.cispo.Cispo;
import io.github.lightning4j.cispo.ClipRange;
import io.github.lightning4j.cispo.ClippedSurrogate;
import io.github.lightning4j.cispo.LossResult;
import io.github.lightning4j.cispo.PolicyLoss;
import io.github.lightning4j.cispo.Sapo;
import io.github.lightning4j.cispo.TokenBatch;
import java.util.Random;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * The losses over {@value #TOKENS} tokens, 256 sequences of 16 to 8,176 tokens, with gradients and
 * diagnostics, on one thread.
 */
public class PolicyLossBenchmark extends OperatorBenchmark {
  static final int TOKENS = 1 << 20;
  private static final int SEQUENCES = 256;

  /** Which loss. */
  public enum Loss {
    CISPO(Cispo.maxWeight(5)),
    UNIFIED(Cispo.maxWeight(5).withTrustRegion(ClipRange.ofEpsilons(0.2, 0.28))),
    GRPO(ClippedSurrogate.grpo(0.2)),
    GRPO_KL(ClippedSurrogate.grpo(0.2).withKl(0.04)),
    DAPO(ClippedSurrogate.dapo(0.2, 0.28)),
    GSPO(ClippedSurrogate.gspo(3e-4, 4e-4)),
    SAPO(Sapo.DEFAULT);

    private final PolicyLoss loss;

    Loss(PolicyLoss loss) {
      this.loss = loss;
    }
  }

  @Param Loss loss;

  private final double[][] logProbs = new double[SEQUENCES][];
  private final double[][] old = new double[SEQUENCES][];
  private final double[] advantages = new double[SEQUENCES];
  private TokenBatch batch;

  /** Fills the batch. */
  @Setup
  public void open() {
    Random random = new Random(1);
    for (int i = 0; i < SEQUENCES; i++) {
      // Lengths i and SEQUENCES - 1 - i add up to twice the mean.
      int length = TOKENS / SEQUENCES + (2 * i - SEQUENCES + 1) * 16;
      logProbs[i] = random.doubles(length, -3, 0).toArray();
      old[i] = logProbs[i].clone();
      for (int t = 0; t < length; t++) {
        old[i][t] += 0.2 * random.nextGaussian();
      }
      advantages[i] = random.nextGaussian();
    }
    batch = TokenBatch.ragged(logProbs, old, advantages).withReference(old);
  }

  /** The loss, its gradient and its diagnostics. */
  @Benchmark
  public LossResult evaluate() {
    return loss.loss.evaluate(batch);
  }

  /** The same from new log-probabilities, as each update of a rollout has them. */
  @Benchmark
  public LossResult update() {
    return loss.loss.evaluate(batch.withLogProbs(logProbs));
  }
}

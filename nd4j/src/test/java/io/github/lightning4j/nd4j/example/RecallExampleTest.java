package io.github.lightning4j.nd4j.example;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.nd4j.example.RecallExample.Batch;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The example learns, by the right gradients, and by the operator's memory. */
final class RecallExampleTest {
  private static final Decay REMEMBERS = Decay.ofSlopes(Slopes.alibi(2));

  /** The same model with states that are gone by the next token. */
  private static final Decay FORGETS = Decay.ofSlopes(new double[] {1000, 1000});

  private static final int STEPS = 50;

  @ParameterizedTest
  @ValueSource(strings = {"wIn", "wOut"})
  void gradientsAreThoseOfTheWholeLoss(String name) {
    RecallExample model = new RecallExample(REMEMBERS, 5);
    Batch batch = RecallExample.batch(new Random(6));
    INDArray gradient = model.graph().calculateGradients(model.feed(batch), name).get(name).dup();
    INDArray weights = model.graph().getVariable(name).getArr();
    double largest = gradient.amaxNumber().doubleValue();
    assertThat(largest).isGreaterThan(0.01);
    Random random = new Random(7);
    for (int probe = 0; probe < 6; probe++) {
      long row = random.nextInt(weights.rows());
      long column = random.nextInt(weights.columns());
      float at = weights.getFloat(row, column);
      double h = 0.01; // wide enough for sums in single precision
      weights.putScalar(row, column, at + h);
      double up = model.loss(batch);
      weights.putScalar(row, column, at - h);
      double down = model.loss(batch);
      weights.putScalar(row, column, at);
      assertThat(gradient.getDouble(row, column))
          .as("%s[%d, %d]", name, row, column)
          .isCloseTo((up - down) / (2 * h), within(0.005 * largest));
    }
  }

  @Test
  void trainingTeachesRecallToTheModelThatRemembersAlone() {
    double guessing = Math.log(RecallExample.SYMBOLS);
    assertThat(trained(REMEMBERS)).isLessThan(guessing / 50);
    assertThat(trained(FORGETS)).isGreaterThan(guessing * 0.8);
  }

  /** The loss on a batch that was not trained on. */
  private static double trained(Decay decay) {
    RecallExample model = new RecallExample(decay, 1);
    Random random = new Random(1);
    Batch unseen = RecallExample.batch(random);
    for (int step = 0; step < STEPS; step++) {
      model.step(RecallExample.batch(random));
    }
    return model.loss(unseen);
  }

  @Test
  void equalSeedsGiveEqualModels() {
    double[] losses = new double[2];
    for (int i = 0; i < 2; i++) {
      RecallExample model = new RecallExample(REMEMBERS, 3);
      Random random = new Random(4);
      model.step(RecallExample.batch(random));
      model.step(RecallExample.batch(random));
      losses[i] = model.loss(RecallExample.batch(random));
    }
    assertThat(losses[0]).isEqualTo(losses[1]);
  }
}

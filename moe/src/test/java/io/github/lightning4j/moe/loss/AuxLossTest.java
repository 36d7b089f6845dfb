package io.github.lightning4j.moe.loss;

import static io.github.lightning4j.moe.loss.SmallBatch.EXPERTS;
import static io.github.lightning4j.moe.loss.SmallBatch.LAYERS;
import static io.github.lightning4j.moe.loss.SmallBatch.TOKENS;
import static io.github.lightning4j.moe.loss.SmallBatch.batch;
import static io.github.lightning4j.moe.loss.SmallBatch.chosen;
import static io.github.lightning4j.moe.loss.SmallBatch.gradients;
import static io.github.lightning4j.moe.loss.SmallBatch.join;
import static io.github.lightning4j.moe.loss.SmallBatch.layers;
import static io.github.lightning4j.moe.loss.SmallBatch.plainTotal;
import static io.github.lightning4j.moe.loss.SmallBatch.plainValue;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Gradients;
import io.github.lightning4j.moe.RouterOptions.Score;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Values and gradients of the losses. */
final class AuxLossTest {
  private static double value(RouterBatch batch, LossTerm term) {
    return AuxLoss.of(term).evaluate(batch, null).values().get(0);
  }

  private static List<List<LossTerm>> terms() {
    List<List<LossTerm>> all = new ArrayList<>();
    List<LossTerm> together = new ArrayList<>();
    for (Normalization normalization : Normalization.values()) {
      for (Scope scope : Scope.values()) {
        all.add(List.of(new BalanceLoss(3, normalization, scope)));
        together.add(new BalanceLoss(0.1 * (together.size() + 1), normalization, scope));
      }
    }
    all.add(List.of(new ZLoss(0.7)));
    together.add(new ZLoss(0.3));
    all.add(together);
    return all;
  }

  @Test
  void valuesAndGradientsAreThoseOfTheFormulas() {
    for (Score score : List.of(Score.SOFTMAX, Score.SIGMOID)) {
      for (List<LossTerm> terms : terms()) {
        try (MemoryScope scope = new MemoryScope()) {
          RouterBatch batch = batch(scope);
          List<Tensor> out = gradients(scope, batch);
          LossValues values =
              AuxLoss.of(terms.toArray(LossTerm[]::new)).withScore(score).evaluate(batch, out);
          double[][] logits = layers(join(batch.routerLogits()));
          String what = score + " " + terms;
          for (int i = 0; i < terms.size(); i++) {
            assertThat(values.values().get(i))
                .as(what)
                .isCloseTo(plainValue(batch, logits, terms.get(i), score), within(1e-12));
          }
          double total = plainTotal(batch, logits, terms, score);
          assertThat(values.total()).as(what).isCloseTo(total, within(1e-12));
          Gradients.assertMatches(
              what,
              x -> plainTotal(batch, layers(x), terms, score),
              join(batch.routerLogits()),
              join(out),
              LAYERS * TOKENS * EXPERTS,
              1e-6);
        }
      }
    }
  }

  @Test
  void valueWhereAllIsEvenTellsNormalizationsApart() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, 16, 32);
      int[] even = new int[32];
      for (int i = 0; i < 32; i++) {
        even[i] = i;
      }
      Tensor index = scope.add(Tensor.of(even, 16, 2));
      RouterBatch one = RouterBatch.of(List.of(logits), List.of(index));
      RouterBatch two = RouterBatch.of(List.of(logits, logits), List.of(index, index));
      for (Score score : Score.values()) {
        for (Scope over : Scope.values()) {
          double[] expected = {1, 2.0 / 1024, 2};
          for (Normalization n : Normalization.values()) {
            AuxLoss loss = AuxLoss.of(new BalanceLoss(1, n, over)).withScore(score);
            double value = expected[n.ordinal()];
            assertThat(loss.evaluate(one, null).total()).isCloseTo(value, within(1e-12));
            assertThat(loss.evaluate(two, null).total())
                .isCloseTo(n == Normalization.HF_POOLED ? value : 2 * value, within(1e-12));
          }
        }
      }
      assertThat(value(two, new ZLoss(1))).isCloseTo(2 * Math.pow(Math.log(32), 2), within(1e-12));
    }
  }

  @Test
  void countsTheChoiceItIsGiven() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Tensor.of(new float[] {0, 2, 0, 2}, 2, 2));
      Tensor index = scope.add(Tensor.of(new int[] {0, 0}, 2, 1)); // as a bias would have it
      double value = value(RouterBatch.of(List.of(logits), List.of(index)), BalanceLoss.of(1));
      assertThat(value).isCloseTo(2 / (1 + Math.exp(2)), within(1e-12));
    }
  }

  @Test
  void tokensThatDoNotCountGetZerosAndAreNotLookedAt() {
    try (MemoryScope scope = new MemoryScope()) {
      RouterBatch batch = batch(scope);
      List<Tensor> clean = gradients(scope, batch);
      AuxLoss loss = AuxLoss.of(BalanceLoss.of(1), new ZLoss(1));
      LossValues values = loss.evaluate(batch, clean);
      batch.routerLogits().get(1).accessor().set(4L * EXPERTS + 2, Double.NaN);
      List<Tensor> out = gradients(scope, batch);
      assertThat(loss.evaluate(batch, out)).isEqualTo(values);
      for (int layer = 0; layer < LAYERS; layer++) {
        assertThat(out.get(layer).toFloats()).isEqualTo(clean.get(layer).toFloats());
        assertThat(out.get(layer).narrow(0, 3, 3).toFloats()).containsOnly(0);
      }
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      List<Tensor> logits = List.of(scope.add(Cases.normal(1, DType.F32, 5000, 8)));
      RouterBatch batch = RouterBatch.of(logits, chosen(scope, logits));
      AuxLoss loss = AuxLoss.of(BalanceLoss.of(1), new ZLoss(1)).withScore(Score.SIGMOID);
      List<Tensor> one = gradients(scope, batch);
      List<Tensor> four = gradients(scope, batch);
      Threads.use(1);
      LossValues values = loss.evaluate(batch, one);
      Threads.use(4);
      assertThat(loss.evaluate(batch, four)).isEqualTo(values);
      assertThat(four.get(0).toFloats()).isEqualTo(one.get(0).toFloats());
    } finally {
      Threads.use(before);
    }
  }
}

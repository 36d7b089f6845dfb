package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import org.jspecify.annotations.Nullable;

/** The formulas of {@link ExpertKernels} token by token, in double. */
final class ReferenceExperts implements ExpertKernels {
  @Override
  public void forward(
      Tensor x, Experts weights, DispatchPlan plan, Tensor weight, Scratch scratch, Tensor out) {
    Recording.forRanges(
        x.size(0),
        1,
        (from, to) -> {
          for (long t = from; t < to; t++) {
            token(x, weights, plan, weight, out, t);
          }
        });
  }

  private static void token(
      Tensor x, Experts weights, DispatchPlan plan, Tensor weight, Tensor out, long t) {
    double[] row = Rows.get(x, t);
    double[] share = Rows.get(weight, t);
    double[] total = new double[row.length];
    for (int s = 0; s < share.length; s++) {
      int pair = (int) t * plan.slots() + s;
      if (plan.position(pair) < 0) {
        continue;
      }
      double[] answer = new Expert(weights, plan.expert(pair)).answer(row);
      for (int h = 0; h < total.length; h++) {
        total[h] += share[s] * answer[h];
      }
    }
    Rows.set(out, t, total);
  }

  @Override
  public Tensor answers(Tensor x, Experts weights, DispatchPlan plan, Scratch scratch) {
    Tensor answers = scratch.answers.take(DType.F32, plan.kept(), weights.hidden());
    Threads.forRanges(
        plan.kept(),
        1,
        (from, to) -> {
          for (int position = (int) from; position < to; position++) {
            Expert expert = new Expert(weights, plan.expert(plan.pair(position)));
            Rows.set(answers, position, expert.answer(Rows.get(x, plan.token(position))));
          }
        });
    return answers;
  }

  @Override
  public void gather(Tensor x, Tensor pairs, int slots, Tensor rows) {
    Elements from = pairs.accessor();
    for (long i = 0; i < rows.size(0); i++) {
      Rows.set(rows, i, Rows.get(x, from.getLong(i) / slots));
    }
  }

  @Override
  public void combine(
      Tensor rows, Tensor positions, int slots, @Nullable Tensor weight, Tensor out) {
    Elements places = positions.accessor();
    for (long t = 0; t < out.size(0); t++) {
      double[] total = new double[(int) out.size(1)];
      for (int s = 0; s < slots; s++) {
        long position = places.getLong(t * slots + s);
        if (position >= 0) {
          double share = weight == null ? 1 : Rows.get(weight, t)[s];
          double[] row = Rows.get(rows, position);
          for (int h = 0; h < total.length; h++) {
            total[h] += share * row[h];
          }
        }
      }
      Rows.set(out, t, total);
    }
  }

  @Override
  public void backward(
      Tensor x,
      ExpertWeights weights,
      DispatchPlan plan,
      Tensor weight,
      Tensor dOut,
      ExpertGradients out) {
    ReferenceBackward.run(x, weights, plan, weight, dOut, out);
  }

  @Override
  public void mixShared(
      Tensor x,
      Tensor coefficient,
      Experts expert,
      DispatchPlan plan,
      Scratch scratch,
      Tensor inOut) {
    Recording.forRanges(
        x.size(0),
        1,
        (from, to) -> {
          for (long t = from; t < to; t++) {
            double[] row = Rows.get(x, t);
            double[] mixed = Rows.get(inOut, t);
            double[] answer = new Expert(expert, 0).answer(row);
            double c = Expert.sigmoid(new Expert.Matrix(coefficient).times(row)[0]);
            for (int h = 0; h < mixed.length; h++) {
              mixed[h] = mixed[h] * (1 - c) + answer[h] * c;
            }
            Rows.set(inOut, t, mixed);
          }
        });
  }
}

package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.MixtureOfExperts;
import io.github.lightning4j.moe.MoeWorkspace;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A layer of experts with a batch, the same in every process, and what a single rank makes of it.
 * Experts get more than 16 tokens and fewer, so that both kinds of kernels run.
 */
final class Layer implements AutoCloseable {
  static final int EXPERTS = 8;
  static final int HIDDEN = 40;
  static final int INNER = 32;

  /** How tokens choose their experts. */
  enum Load {
    EVEN,
    SKEWED,
    /** Two experts get every token. */
    TWO_TAKE_ALL,
    /** One expert gets every token, its only choice. */
    ONE_TAKES_ALL
  }

  final MemoryScope scope = new MemoryScope();
  final int tokens;
  final int slots;
  final Tensor x;
  final Tensor index;
  final Tensor weight;
  final ExpertWeights weights;

  Layer(int tokens, DType dtype, Load load) {
    this.tokens = tokens;
    slots = load == Load.ONE_TAKES_ALL ? 1 : 2;
    x = scope.add(Cases.normal(1, DType.F32, tokens, HIDDEN));
    weights =
        new ExpertWeights(
            matrices(100, dtype, INNER, HIDDEN),
            matrices(200, dtype, INNER, HIDDEN),
            matrices(300, dtype, HIDDEN, INNER));
    Random random = new Random(7);
    int[] chosen = new int[tokens * slots];
    float[] share = new float[tokens * slots];
    for (int t = 0; t < tokens; t++) {
      int first = t * slots;
      chosen[first] = expert(random, load);
      share[first] = 0.5f + 0.5f * random.nextFloat();
      if (slots == 2) {
        do {
          chosen[first + 1] = load == Load.TWO_TAKE_ALL ? 0 : expert(random, load);
        } while (chosen[first + 1] == chosen[first]);
        share[first + 1] = 1 - share[first];
      }
    }
    index = scope.add(Tensor.of(chosen, tokens, slots));
    weight = scope.add(Tensor.of(share, tokens, slots));
  }

  private List<Tensor> matrices(long seed, DType dtype, long rows, long columns) {
    List<Tensor> matrices = new ArrayList<>();
    for (int e = 0; e < EXPERTS; e++) {
      matrices.add(scope.add(Cases.normal(seed + e, dtype, rows, columns)));
    }
    return matrices;
  }

  private static int expert(Random random, Load load) {
    return switch (load) {
      case EVEN -> random.nextInt(EXPERTS);
      case SKEWED -> (int) (EXPERTS * Math.pow(random.nextDouble(), 3));
      case TWO_TAKE_ALL, ONE_TAKES_ALL -> EXPERTS - 2;
    };
  }

  /** The first token of a rank; ranks have different numbers, some none. */
  int first(int rank, int ranks) {
    int[] parts = {3, 0, 2, 5};
    int before = 0;
    int all = 0;
    for (int r = 0; r < ranks; r++) {
      before += r < rank ? parts[r % 4] : 0;
      all += parts[r % 4];
    }
    return tokens * before / all;
  }

  /** The rows of a rank's tokens. */
  Tensor part(Tensor rows, int rank, int ranks) {
    int from = first(rank, ranks);
    return rows.narrow(0, from, first(rank + 1, ranks) - from);
  }

  /** The rows of the tokens of several ranks. */
  Tensor part(Tensor rows, int firstRank, int count, int ranks) {
    int from = first(firstRank, ranks);
    return rows.narrow(0, from, first(firstRank + count, ranks) - from);
  }

  /** What a single rank answers to some of the tokens. */
  Tensor answer(Experts experts, Tensor x, DispatchPlan plan, Tensor weight) {
    Tensor out = scope.allocate(DType.F32, x.shape());
    try (MoeWorkspace workspace = new MoeWorkspace()) {
      MixtureOfExperts.best().forward(x, experts, plan, weight, workspace, out);
    }
    return out;
  }

  /** What a single rank answers to all tokens. */
  Tensor answer(Experts experts) {
    DispatchPlan plan = new DispatchPlan();
    plan.build(index, EXPERTS);
    return answer(experts, x, plan, weight);
  }

  /** Where the kernels are native, the same bits; the reference of a single rank adds in double. */
  static void assertSame(String what, Tensor got, Tensor expected) {
    if (MixtureOfExperts.availability().isAvailable()) {
      assertThat(got.toFloats()).as(what).isEqualTo(expected.toFloats());
    } else {
      assertClose(what, got, expected);
    }
  }

  static void assertClose(String what, Tensor got, Tensor expected) {
    if (expected.elements() > 0) {
      Closeness.assertNmse(what, got, expected, 1e-12);
    }
  }

  @Override
  public void close() {
    scope.close();
  }
}

package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** In double the recurrence, the chunks and the segments agree to 1e-12, however it is cut. */
final class ChunkFormTest {
  /** The square of it, as the NMSE is one of squares. */
  private static final double LIMIT = 1e-24;

  private static final double[] SLOPES = {0.92, 0.1, 5e-5};

  private final LightningAttention attention = LightningAttention.of(Backend.REFERENCE);

  private static Problem problem(long seed, int tokens) {
    DType type = DType.F64;
    return new Problem(seed, type, type, 1, tokens, 7, 9, Options.DEFAULT, SLOPES);
  }

  private static int[] randomChunks(Random random) {
    int[] some = {256, 0, 1, 256, 32, 0, 0, 0};
    for (int i = 5; i < some.length; i++) {
      some[i] = random.nextInt(257);
    }
    for (int i = some.length - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swapped = some[i];
      some[i] = some[j];
      some[j] = swapped;
    }
    return some;
  }

  @Test
  void chunkedEqualsRecurrentEqualsSegmented() {
    Random random = new Random(1);
    for (int round = 0; round < 6; round++) {
      int[] chunks = randomChunks(random);
      int[] others = randomChunks(random);
      int tokens = Math.max(IntStream.of(chunks).sum(), IntStream.of(others).sum());
      chunks[0] += tokens - IntStream.of(chunks).sum();
      others[0] += tokens - IntStream.of(others).sum();
      try (Problem p = problem(round, tokens);
          Segmented parts =
              new Segmented(Backend.REFERENCE, p, Arrays.stream(others).asLongStream().toArray())) {
        p.prefill(attention);
        parts.forward(p.initial);
        for (int h = 0; h < SLOPES.length; h++) {
          ChunkForm oracle = new ChunkForm(p, 0, h, chunks);
          String what = Arrays.toString(chunks) + " head " + h;
          assertHead(what + " recurrent", oracle, p.out, p.state, h);
          assertHead(what + " segmented", oracle, parts.out, parts.last, h);
        }
      }
    }
  }

  private static void assertHead(String what, ChunkForm oracle, Tensor out, Tensor state, int h) {
    double[] outs = Problem.head(out, 0, h).toDoubles();
    Closeness.assertNmse(what + " out", outs, Problem.flat(oracle.out), LIMIT);
    double[] states = Problem.state(state, 0, h).toDoubles();
    Closeness.assertNmse(what + " state", states, Problem.flat(oracle.state), LIMIT);
  }

  @Test
  void gradientsOfSegmentsEqualTheQuadraticForm() {
    try (Problem p = problem(9, 300);
        Segmented parts = new Segmented(Backend.REFERENCE, p, 100, 0, 37, 163)) {
      parts.forward(p.initial).backward(p.dFinal);
      for (int h = 0; h < SLOPES.length; h++) {
        QuadraticForm.Gradient truth =
            p.oracle(0, h)
            .new Gradient(
                Problem.rows(Problem.head(p.dOut, 0, h)),
                Problem.rows(Problem.state(p.dFinal, 0, h)));
        assertGradient("dq", Problem.head(parts.dq, 0, h), truth.dq);
        assertGradient("dk", Problem.head(parts.dk, 0, h), truth.dk);
        assertGradient("dv", Problem.head(parts.dv, 0, h), truth.dv);
        assertGradient("dInitial", Problem.state(parts.dInitial, 0, h), truth.dState);
        double[] log = {parts.dLogDecay[h]};
        double[] expected = {truth.dLogDecay};
        double typical = truth.typicalDLogDecay * truth.typicalDLogDecay;
        Closeness.assertNmse("dLogDecay", log, expected, LIMIT, typical);
      }
    }
  }

  private static void assertGradient(String what, Tensor actual, double[][] expected) {
    Closeness.assertNmse(what, actual.toDoubles(), Problem.flat(expected), LIMIT);
  }
}

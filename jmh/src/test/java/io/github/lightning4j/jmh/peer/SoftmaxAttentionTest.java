package io.github.lightning4j.jmh.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A peer that computed something else would be no peer. */
final class SoftmaxAttentionTest {
  private static final int HEADS = 2;
  private static final int SIZE = 16;

  private final Random random = new Random(1);
  private final MemoryScope scope = new MemoryScope();

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor tensor(int tokens) {
    Tensor tensor = scope.allocate(DType.F32, HEADS, tokens, SIZE);
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.accessor().set(i, random.nextGaussian());
    }
    return tensor;
  }

  /** sum over all outputs of out times g, in double, head by head, row by row. */
  private static double weightedSum(double[] q, double[] k, double[] v, double[] g, double[] out) {
    int tokens = q.length / HEADS / SIZE;
    double sum = 0;
    for (int h = 0; h < HEADS; h++) {
      for (int i = 0; i < tokens; i++) {
        int row = (h * tokens + i) * SIZE;
        double[] weights = new double[i + 1];
        double total = 0;
        for (int j = 0; j <= i; j++) {
          double score = 0;
          for (int d = 0; d < SIZE; d++) {
            score += q[row + d] * k[(h * tokens + j) * SIZE + d];
          }
          weights[j] = Math.exp(score / Math.sqrt(SIZE));
          total += weights[j];
        }
        for (int d = 0; d < SIZE; d++) {
          out[row + d] = 0;
          for (int j = 0; j <= i; j++) {
            out[row + d] += weights[j] / total * v[(h * tokens + j) * SIZE + d];
          }
          sum += out[row + d] * g[row + d];
        }
      }
    }
    return sum;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 127, 128, 129, 300})
  void forwardIsCausalSoftmaxAttention(int tokens) {
    assumeTrue(Gemm.oneDnn().isAvailable(), Gemm.oneDnn().reason());
    Tensor q = tensor(tokens);
    Tensor k = tensor(tokens);
    Tensor v = tensor(tokens);
    Tensor out = tensor(tokens);
    try (SoftmaxAttention attention = new SoftmaxAttention(HEADS, tokens, SIZE)) {
      attention.forward(q, k, v, out);
    }
    double[] expected = new double[HEADS * tokens * SIZE];
    weightedSum(q.toDoubles(), k.toDoubles(), v.toDoubles(), expected.clone(), expected);
    assertThat(out.toDoubles()).containsExactly(expected, Offset.offset(1e-5));
  }

  @ParameterizedTest
  @ValueSource(ints = {3, 129, 150})
  void backwardIsItsGradient(int tokens) {
    assumeTrue(Gemm.oneDnn().isAvailable(), Gemm.oneDnn().reason());
    Tensor[] inputs = {tensor(tokens), tensor(tokens), tensor(tokens)};
    Tensor g = tensor(tokens);
    Tensor[] gradients = {tensor(tokens), tensor(tokens), tensor(tokens)};
    try (SoftmaxAttention attention = new SoftmaxAttention(HEADS, tokens, SIZE)) {
      attention.backward(
          inputs[0], inputs[1], inputs[2], g, gradients[0], gradients[1], gradients[2]);
    }
    double[][] x = {inputs[0].toDoubles(), inputs[1].toDoubles(), inputs[2].toDoubles()};
    double[] weights = g.toDoubles();
    double[] scratch = new double[weights.length];
    for (int input = 0; input < 3; input++) {
      for (int trial = 0; trial < 20; trial++) {
        int i = random.nextInt(weights.length);
        double at = x[input][i];
        x[input][i] = at + 1e-5;
        double above = weightedSum(x[0], x[1], x[2], weights, scratch);
        x[input][i] = at - 1e-5;
        double below = weightedSum(x[0], x[1], x[2], weights, scratch);
        x[input][i] = at;
        assertThat(gradients[input].accessor().get(i))
            .as("input %s element %s", input, i)
            .isCloseTo((above - below) / 2e-5, Offset.offset(1e-4));
      }
    }
  }
}

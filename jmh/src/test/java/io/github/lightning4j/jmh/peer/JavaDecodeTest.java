package io.github.lightning4j.jmh.peer;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

final class JavaDecodeTest {
  @Test
  void agreesWithTheOperator() {
    int heads = 3;
    int size = 8;
    Random random = new Random(1);
    float[] lambda = {0.5f, 0.9f, 0.99f};
    double[] logs = {Math.log(0.5f), Math.log(0.9f), Math.log(0.99f)};
    float[] q = normal(random, 2 * heads * size);
    float[] k = normal(random, 2 * heads * size);
    float[] v = normal(random, 2 * heads * size);
    float[] pool = normal(random, 4 * heads * size * size);
    int[] slots = {3, 1};
    try (MemoryScope scope = new MemoryScope()) {
      Tensor states = scope.add(Tensor.of(pool, 4, heads, size, size));
      Tensor expected = scope.add(Tensor.of(q, 2, heads, size));
      LightningAttention.best()
          .decode(
              scope.add(Tensor.of(q, 2, heads, size)),
              scope.add(Tensor.of(k, 2, heads, size)),
              scope.add(Tensor.of(v, 2, heads, size)),
              Decay.ofLogDecay(logs),
              Options.DEFAULT,
              states,
              scope.add(Tensor.of(slots, 2)),
              expected);
      float[] out = new float[q.length];
      new JavaDecode(size, lambda).decode(q, k, v, pool, slots, out);
      assertThat(out).containsExactly(expected.toFloats(), Offset.offset(1e-5f));
      assertThat(pool).containsExactly(states.toFloats(), Offset.offset(1e-5f));
    }
  }

  private static float[] normal(Random random, int n) {
    float[] values = new float[n];
    for (int i = 0; i < n; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}

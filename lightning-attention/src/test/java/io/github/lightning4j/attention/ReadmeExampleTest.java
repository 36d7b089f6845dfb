package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The snippets of README.md, run; and the check that they still are those shown there. */
final class ReadmeExampleTest {
  @Test
  void goesFromPrefillToDecode() {
    // snippet
    int tokens = 100, heads = 4, d = 32;
    Decay decay = Decay.ofSlopes(Slopes.alibi(heads));
    Options options = Options.DEFAULT.withSilu(true);
    LightningAttention attention = LightningAttention.best();
    try (MemoryScope scope = new MemoryScope()) {
      // One projection holds q | k | v of every head; views of it need no copy.
      Tensor qkv = scope.allocate(DType.F32, 1, tokens, heads, 3 * d); // your activations
      Tensor q = qkv.narrow(3, 0, d), k = qkv.narrow(3, d, d), v = qkv.narrow(3, 2 * d, d);
      Tensor state = scope.allocate(DType.F32, 1, heads, d, d); // zeros: a fresh sequence
      Tensor out = scope.allocate(DType.F32, 1, tokens, heads, d);
      attention.prefill(q, k, v, decay, options, state, out);

      // The state goes on into decode, one token a call.
      Tensor slots = scope.add(Tensor.of(new int[] {0}, 1));
      Tensor next = scope.allocate(DType.F32, 1, heads, d);
      attention.decode(
          q.select(1, 0), k.select(1, 0), v.select(1, 0), decay, options, state, slots, next);
      // end of snippet
      assertThat(next.toFloats()).containsOnly(0);
      qkv.accessor().set(0, 1);
      qkv.accessor().set(d, 1);
      qkv.accessor().set(2 * d, 1);
      attention.prefill(q, k, v, decay, options, state, out);
      double silu = 1 / (1 + Math.exp(-1));
      assertThat((double) out.toFloats()[0]).isCloseTo(Math.pow(silu, 3), within(1e-6));
    }
  }

  @Test
  void packsSequences() {
    int heads = 4;
    int d = 32;
    Decay decay = Decay.ofSlopes(Slopes.alibi(heads));
    Options options = Options.DEFAULT;
    LightningAttention attention = LightningAttention.best();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor q = scope.allocate(DType.BF16, 1, 65, heads, d);
      Tensor k = scope.allocate(DType.BF16, 1, 65, heads, d);
      Tensor v = scope.allocate(DType.BF16, 1, 65, heads, d);
      Tensor out = scope.allocate(DType.BF16, 1, 65, heads, d);
      Tensor pool = scope.allocate(DType.F32, 5, heads, d, d);
      k.accessor().set(0, 1);
      v.accessor().set(0, 1);
      // snippet
      // Sequences of 40, 0 and 25 tokens packed in one row; their states are entries 4, 0 and 2 of
      // a
      // pool; a snapshot of the state every 32 tokens.
      long count = Prefill.snapshotCount(0, 40, 32) + Prefill.snapshotCount(0, 25, 32);
      Tensor taken = scope.allocate(DType.F32, count, heads, d, d);
      attention.prefill(
          new Prefill(q, k, v, decay, options, out)
              .packed(scope.add(Tensor.of(new int[] {0, 40, 40, 65}, 4)))
              .slots(scope.add(Tensor.of(new int[] {4, 0, 2}, 3)))
              .state(pool)
              .snapshots(32, taken));
      // end of snippet
      double slope = Slopes.alibi(heads)[0];
      assertThat(taken.size(0)).isEqualTo(1);
      assertThat((double) taken.toFloats()[0]).isCloseTo(Math.exp(-31 * slope), within(1e-6));
      assertThat((double) pool.select(0, 4).toFloats()[0])
          .isCloseTo(Math.exp(-39 * slope), within(1e-6));
      assertThat(pool.narrow(0, 0, 4).toFloats()).containsOnly(0);
    }
  }

  @Test
  void areTheOnesShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "lightning-attention");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/attention/ReadmeExampleTest.java"));
    String readme = Files.readString(module.resolve("README.md"));
    Pattern region = Pattern.compile("// snippet\n(.*?)\n *// end of snippet\n", Pattern.DOTALL);
    assertThat(region.matcher(source).results().map(ReadmeExampleTest::snippet))
        .hasSize(2)
        .allSatisfy(snippet -> assertThat(readme).contains(snippet));
  }

  private static String snippet(MatchResult region) {
    return region.group(1).stripIndent().strip();
  }
}

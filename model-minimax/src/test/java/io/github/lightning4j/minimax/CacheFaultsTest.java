package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Models and numbers that quantized caches cannot hold. */
final class CacheFaultsTest {
  @ParameterizedTest
  @CsvSource({
    "small_qkv_eps, model.layers.1.self_attn.k_proj.weight, 288, 'key, layer 1, head 1, token 0, channel 1'",
    "small_qkv_eps, model.layers.1.self_attn.v_proj.weight, 32, 'value, layer 1, head 0, token 0, channel 1'",
    "alt_gqa_b32, model.embed_tokens.weight, 96, 'hidden, layer 0, token 1, channel 0'"
  })
  void whatIsNoNumberIsNamed(
      String original, String tensor, long element, String message, @TempDir Path folder) {
    Path broken =
        BrokenCheckpoint.tensors(
            ModelFixture.root().resolve(original).resolve("hf"),
            folder,
            (scope, tensors) ->
                tensors.compute(
                    tensor, (name, old) -> BrokenCheckpoint.with(scope, old, element, Double.NaN)));
    LoadOptions options = LoadOptions.DEFAULT.withCacheFormat(KvCacheFormat.of("rotatekv-2"));
    try (MiniMaxModel faulty = MiniMaxModel.load(broken, options);
        Session session = faulty.newSession()) {
      assertThatThrownBy(() -> session.prefill(1, 2, 3))
          .isInstanceOf(NonFiniteInputException.class)
          .hasMessageContaining(message);
    }
  }

  @Test
  void headsThatDoNotFit() {
    Path six = ModelFixture.root().resolve("heads6_nonpow2/hf");
    assertThatThrownBy(
            () ->
                MiniMaxModel.load(
                    six, LoadOptions.DEFAULT.withCacheFormat(KvCacheFormat.of("kv2"))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("headDim: expected");
  }
}

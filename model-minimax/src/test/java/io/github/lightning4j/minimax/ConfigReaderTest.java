package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.minimax.MiniMaxConfig.Dialect;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.MiniMaxConfig.Mix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What both dialects say, leave out, and say in more than one way. */
final class ConfigReaderTest {
  private static final String COMMON =
      """
      "vocab_size": 100, "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
      "num_key_value_heads": 2, "intermediate_size": 32, "num_experts_per_tok": 2,
      "max_position_embeddings": 512,
      """;

  @TempDir Path folder;

  private MiniMaxConfig read(String keys) throws IOException {
    Files.writeString(folder.resolve("config.json"), "{" + COMMON + keys + "}");
    return MiniMaxConfig.load(folder);
  }

  @Test
  void defaultsOfTheOriginalDialect() throws IOException {
    MiniMaxConfig config =
        read(
            "\"model_type\": \"minimax_m1\", \"attn_type_list\": [0, 0, 1], \"num_local_experts\": 4");
    assertThat(config.dialect()).isEqualTo(Dialect.ORIGINAL);
    assertThat(config.layers())
        .containsExactly(LayerKind.LIGHTNING, LayerKind.LIGHTNING, LayerKind.SOFTMAX);
    assertThat(config.attention().headDim()).isEqualTo(16);
    assertThat(config.attention().rotaryDim()).isEqualTo(16);
    assertThat(config.residuals().postNorm()).isFalse();
    assertThat(config.residuals().lightning()).isEqualTo(new Mix(1, 1));
    assertThat(config.residuals().mlp()).isEqualTo(new Mix(1, 1));
    assertThat(config.experts().sharedIntermediateSize()).isZero();
    assertThat(config.tiedEmbeddings()).isFalse();
    assertThat(config.eosTokens()).isEmpty();
  }

  @Test
  void defaultsOfTransformers() throws IOException {
    MiniMaxConfig config =
        read("\"model_type\": \"minimax\", \"layer_types\": null, \"num_local_experts\": 4");
    assertThat(config.dialect()).isEqualTo(Dialect.TRANSFORMERS);
    assertThat(config.layers())
        .containsExactly(LayerKind.SOFTMAX, LayerKind.LIGHTNING, LayerKind.SOFTMAX);
    assertThat(config.residuals().postNorm()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"minimax_text_01", "MiniMaxText01", "minimax_m1"})
  void namesOfTheOriginalDialect(String type) throws IOException {
    MiniMaxConfig config =
        read(
            "\"model_type\": \""
                + type
                + "\", \"decoder_attention_types\": [1, 0, 0], \"num_experts\": [8, 8, 8],"
                + " \"shared_intermediate_size\": [0], \"rotary_dim\": 8, \"rope_theta\": 10000,"
                + " \"postnorm\": true, \"layernorm_mlp_alpha\": 2.5");
    assertThat(config.dialect()).isEqualTo(Dialect.ORIGINAL);
    assertThat(config.layers().get(0)).isEqualTo(LayerKind.SOFTMAX);
    assertThat(config.experts().experts()).isEqualTo(8);
    assertThat(config.experts().sharedIntermediateSize()).isZero();
    assertThat(config.attention().rotaryDim()).isEqualTo(8);
    assertThat(config.attention().ropeTheta()).isEqualTo(10000);
    assertThat(config.residuals().postNorm()).isTrue();
    assertThat(config.residuals().mlp()).isEqualTo(new Mix(2.5, 1));
  }

  @Test
  void partialRotaryOfTransformers() throws IOException {
    MiniMaxConfig nested =
        read(
            "\"model_type\": \"minimax\", \"num_local_experts\": 4, \"rope_parameters\":"
                + " {\"rope_theta\": 5e5, \"partial_rotary_factor\": 0.5}");
    assertThat(nested.attention().rotaryDim()).isEqualTo(8);
    assertThat(nested.attention().ropeTheta()).isEqualTo(5e5);
    MiniMaxConfig flat =
        read(
            "\"model_type\": \"minimax\", \"num_local_experts\": 4, \"rope_theta\": 7e5,"
                + " \"partial_rotary_factor\": 0.25");
    assertThat(flat.attention().rotaryDim()).isEqualTo(4);
    assertThat(flat.attention().ropeTheta()).isEqualTo(7e5);
  }

  @Test
  void oneEndTokenOrSeveral() throws IOException {
    String minimax = "\"model_type\": \"minimax\", \"num_local_experts\": 4, \"eos_token_id\": ";
    assertThat(read(minimax + "7").eosTokens()).containsExactly(7);
    assertThat(read(minimax + "[7, 9]").eosTokens()).containsExactly(7, 9);
    assertThat(read(minimax + "null").eosTokens()).isEmpty();
  }
}

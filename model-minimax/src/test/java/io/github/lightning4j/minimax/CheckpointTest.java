package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Memory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class CheckpointTest {
  @TempDir Path temp;

  private void refused(Path folder, String... parts) {
    var thrown =
        assertThatThrownBy(() -> Checkpoint.open(folder).close())
            .isInstanceOf(CheckpointException.class);
    for (String part : parts) {
      thrown.hasMessageContaining(part);
    }
    assertThat(mappings(folder)).as("nothing stays mapped").isEmpty();
  }

  /**
   * The lines of the process's memory map that name a folder; none where there is no such map, or
   * where the JDK maps, which ends mappings some time later.
   */
  private static List<String> mappings(Path folder) {
    Path maps = Path.of("/proc/self/maps");
    if (!Files.isReadable(maps) || !Gemm.availability().isAvailable()) {
      return List.of();
    }
    try (Stream<String> lines = Files.lines(maps)) {
      return lines.filter(line -> line.contains(folder.toString())).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void anOpenCheckpointIsSeenInTheMemoryMap() {
    Assumptions.assumeTrue(Gemm.availability().isAvailable(), "the JDK unmaps later");
    Path folder = BrokenCheckpoint.config(temp.resolve("c"), "\"vocab_size\"", "\"vocab_size\"");
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThat(mappings(checkpoint.folder())).isNotEmpty();
    }
    assertThat(mappings(folder)).isEmpty();
  }

  @Test
  void anErrorOnTheWayLeavesNothingBehind() {
    Path folder = BrokenCheckpoint.config(temp.resolve("c"), "\"vocab_size\"", "\"vocab_size\"");
    long before = Memory.liveBytes();
    ProgressListener first =
        (done, total) -> {
          throw new StackOverflowError("while binding");
        };
    assertThatThrownBy(() -> Checkpoint.open(folder, WeightFormats.parse("int8"), first))
        .isInstanceOf(StackOverflowError.class);
    assertThat(mappings(folder)).isEmpty();
    ProgressListener later =
        (done, total) -> {
          if (total > 3) { // of its three layers it is told before the check
            throw new StackOverflowError("while checking");
          }
        };
    LoadOptions checked = LoadOptions.DEFAULT.withCheckWeights(true).withProgress(later);
    assertThatThrownBy(() -> MiniMaxModel.load(folder, checked))
        .isInstanceOf(StackOverflowError.class);
    assertThat(mappings(folder)).isEmpty();
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void aSharedExpertMayHaveTheSizeTheReleasedCodeGivesIt() throws IOException {
    Path source = ModelFixture.root().resolve("orig_prenorm_shared/orig");
    Path folder = Files.createDirectories(temp.resolve("shared"));
    try (Stream<Path> files = Files.list(source)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    String config = Files.readString(folder.resolve("config.json"));
    assertThat(config).contains("\"shared_intermediate_size\": 24");
    Files.writeString(
        folder.resolve("config.json"),
        config.replace("\"shared_intermediate_size\": 24", "\"shared_intermediate_size\": 48"));
    try (MiniMaxModel told = MiniMaxModel.load(source);
        MiniMaxModel found = MiniMaxModel.load(folder);
        Session a = told.newSession();
        Session b = found.newSession()) {
      assertThat(b.prefill(1, 2, 3)).isEqualTo(a.prefill(1, 2, 3));
    }
    Files.writeString(
        folder.resolve("config.json"),
        config.replace("\"intermediate_size\": 24", "\"intermediate_size\": 23"));
    refused(folder, "expected shape [23, 32] by the config, got [24, 32]");
  }

  @Test
  void missingTensor() {
    Path folder =
        BrokenCheckpoint.tensors(
            temp.resolve("m"), (scope, tensors) -> tensors.remove("model.norm.weight"));
    refused(folder, "missing tensor model.norm.weight");
  }

  @Test
  void unexpectedTensor() {
    Path folder =
        BrokenCheckpoint.tensors(
            temp.resolve("m"),
            (scope, tensors) ->
                tensors.put("model.layers.0.self_attn.bias", scope.allocate(DType.F32, 3)));
    refused(folder, "unexpected tensor model.layers.0.self_attn.bias");
  }

  @Test
  void wrongShapeNamesBoth() {
    Path folder =
        BrokenCheckpoint.tensors(
            temp.resolve("m"),
            (scope, tensors) -> tensors.put("model.norm.weight", scope.allocate(DType.F32, 33)));
    refused(folder, "model.norm.weight: expected shape [32]", "got [33]");
  }

  @Test
  void wrongTypeOfWeight() {
    Path folder =
        BrokenCheckpoint.tensors(
            temp.resolve("m"),
            (scope, tensors) -> tensors.put("model.norm.weight", scope.allocate(DType.I32, 32)));
    refused(folder, "model.norm.weight: expected dtype in", "got I32");
  }

  @Test
  void notANumberIsFoundOnRequest() {
    Path folder =
        BrokenCheckpoint.tensors(
            temp.resolve("m"),
            (scope, tensors) ->
                tensors.compute(
                    "lm_head.weight",
                    (name, old) -> BrokenCheckpoint.with(scope, old, 77, Double.NaN)));
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      assertThatThrownBy(() -> checkpoint.checkWeights(ProgressListener.NONE))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("lm_head.weight: element 77 is NaN");
    }
    assertThatThrownBy(() -> MiniMaxModel.load(folder, LoadOptions.DEFAULT.withCheckWeights(true)))
        .isInstanceOf(CheckpointException.class);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          "model_type": "minimax"       | "model_type": "llama"          | model_type: expected one of
          "hidden_act": "silu"          | "hidden_act": "gelu"           | hidden_act: expected silu, got gelu
          "linear_attention"            | "sliding_attention"            | attention kind of a layer
          "rope_type": "default"        | "rope_type": "yarn"            | rope_type of the rotary embedding: expected default, got yarn
          "rope_type": "default"        | "type": "linear"               | type of the rotary embedding: expected default, got linear
          "num_attention_heads": 4      | "num_attention_heads": 0       | num_attention_heads: expected >= 1, got 0
          "sliding_window": null        | "sliding_window": 4096         | sliding_window: expected null, got 4096
          "num_hidden_layers": 3        | "num_hidden_layers": 4         | num_hidden_layers: expected 3
          "vocab_size": 64              | "vocab_size": "many"           | vocab_size: expected an integer
          "vocab_size": 64              | "vocab_size": 65               | expected shape [65, 32]
          "num_experts_per_tok": 2      | "num_experts_per_tok": 9       | num_experts_per_tok: expected 1 to
          "rms_norm_eps": 1e-05         | "rms_norm_eps": -1             | rms_norm_eps: expected >= 0
          "hidden_size": 32             | "other": 32                    | hidden_size: expected an integer, got nothing
          """)
  void configValuesThatCannotBe(String from, String to, String message) {
    refused(BrokenCheckpoint.config(temp.resolve("c"), from, to), message);
  }

  @Test
  void noFolderNoConfigNoWeights() throws Exception {
    refused(temp.resolve("nowhere"), "expected a checkpoint folder");
    Files.createDirectories(temp.resolve("empty"));
    refused(temp.resolve("empty"), "config.json", "no such file");
    Path folder = BrokenCheckpoint.config(temp.resolve("c"), "\"vocab_size\"", "\"vocab_size\"");
    Files.delete(folder.resolve("model.safetensors"));
    refused(folder, "model.safetensors");
  }

  @Test
  void configThatIsNotJson() throws Exception {
    Path folder = BrokenCheckpoint.config(temp.resolve("c"), "\"vocab_size\"", "\"vocab_size\"");
    Files.writeString(folder.resolve("config.json"), "{ \"vocab_size\": ");
    refused(folder, "config.json", "not JSON");
  }
}

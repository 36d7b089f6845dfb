package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Weights in other formats than they are stored in, at load and from a file. */
final class QuantizedModelTest {
  private static final int[] PROMPT = {1404, 349, 262, 1, 5, 9};

  @TempDir private Path temp;

  private static LoadOptions as(String formats) {
    return LoadOptions.DEFAULT.withWeights(WeightFormats.parse(formats));
  }

  private static Path fixture(String layout) {
    return ModelFixture.root().resolve(layout);
  }

  /** Logits after a short prompt, after a long one, and after a token more. */
  private static float[][] logits(MiniMaxModel model) {
    int vocabulary = model.config().vocabSize();
    int[] text = new int[Math.min(40, model.config().maxPositions() - 8)];
    for (int t = 0; t < text.length; t++) {
      text[t] = PROMPT[t % PROMPT.length] * (t + 1) % vocabulary;
    }
    try (Session session = model.newSession()) {
      float[] first = session.prefill(text[0], text[1], text[2]).clone();
      float[] all = session.prefill(text).clone();
      return new float[][] {first, all, session.decode(text[3]).clone()};
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"int8", "int4", "int4/32,head=int8/row,embedding=bf16", "experts=int4"})
  void aSavedCheckpointGivesTheSameBits(String formats) throws IOException {
    Path saved = temp.resolve("saved");
    float[][] expected;
    try (MiniMaxModel model = MiniMaxModel.load(Nano.FOLDER, as(formats))) {
      expected = logits(model);
    }
    try (Checkpoint checkpoint =
        Checkpoint.open(Nano.FOLDER, WeightFormats.parse(formats), ProgressListener.NONE)) {
      checkpoint.save(saved);
    }
    assertThat(saved.resolve("tokenizer.json")).hasSameBinaryContentAs(file("tokenizer.json"));
    for (LoadOptions options : new LoadOptions[] {LoadOptions.DEFAULT, as(formats)}) {
      long before = Memory.liveBytes();
      LoadOptions mapped = options.withPlacement(WeightPlacement.MAPPED);
      try (MiniMaxModel model = MiniMaxModel.load(saved, mapped)) {
        assertThat(model.weightFormats()).isEqualTo(WeightFormats.parse(formats));
        assertThat(Memory.liveBytes() - before)
            .as("images stay in the file")
            .isLessThan(Files.size(saved.resolve("model.safetensors")) / 20);
        assertThat(logits(model)).isDeepEqualTo(expected);
      }
      assertThat(Memory.liveBytes()).isEqualTo(before);
    }
  }

  private static Path file(String name) {
    return Nano.FOLDER.resolve(name);
  }

  @Test
  void fusedExpertsAreCodedAsTheirPartsAre() {
    String released = "alt_gqa_b32/hf";
    String fused = "alt_gqa_b32/hf_fused";
    for (String formats : new String[] {"int8", "int4", "bf16"}) {
      float[][] expected;
      try (MiniMaxModel model = MiniMaxModel.load(fixture(released), as(formats))) {
        expected = logits(model);
      }
      try (MiniMaxModel model = MiniMaxModel.load(fixture(fused), as(formats))) {
        assertThat(logits(model)).isDeepEqualTo(expected);
      }
      Path saved = temp.resolve(formats);
      try (Checkpoint checkpoint =
          Checkpoint.open(fixture(fused), WeightFormats.parse(formats), ProgressListener.NONE)) {
        checkpoint.save(saved);
      }
      try (MiniMaxModel model = MiniMaxModel.load(saved)) {
        assertThat(logits(model)).isDeepEqualTo(expected);
      }
    }
  }

  @Test
  void eightBitsStayCloseToTheOriginal() {
    try (MiniMaxModel plain = Nano.load();
        MiniMaxModel coded = MiniMaxModel.load(Nano.FOLDER, as("int8"))) {
      float[][] expected = logits(plain);
      float[][] actual = logits(coded);
      double error = 0;
      double norm = 0;
      for (int i = 0; i < expected.length; i++) {
        for (int v = 0; v < expected[i].length; v++) {
          error += Math.pow(expected[i][v] - actual[i][v], 2);
          norm += Math.pow(expected[i][v], 2);
        }
      }
      assertThat(error / norm).isBetween(1e-9, 1e-3);
    }
  }

  @Test
  void weightsAreRoundedToBf16() {
    Path plain = fixture("small_qkv_eps/hf");
    try (Checkpoint rounded =
            Checkpoint.open(plain, WeightFormats.parse("head=bf16"), ProgressListener.NONE);
        SafetensorsFile source = SafetensorsFile.open(plain.resolve("model.safetensors"))) {
      rounded.save(temp.resolve("r"));
      try (SafetensorsFile saved =
          SafetensorsFile.open(temp.resolve("r").resolve("model.safetensors"))) {
        Tensor head = source.tensor("lm_head.weight");
        assertThat(head.dtype()).isEqualTo(DType.F32);
        try (Tensor expected = Tensor.allocate(DType.BF16, head.shape())) {
          expected.copyFrom(head);
          assertThat(saved.tensor("lm_head.weight").toDoubles()).isEqualTo(expected.toDoubles());
        }
        assertThat(saved.tensor("model.embed_tokens.weight").dtype()).isEqualTo(DType.F32);
      }
    }
  }

  @Test
  void formatsThatTheModelCannotHaveAreRefused() {
    long before = Memory.liveBytes();
    Path tied = fixture("e32_block256_tied/hf");
    assertThatThrownBy(() -> MiniMaxModel.load(tied, as("int4,head=int8")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("one format for both, got int8/128 and int4/64");
    MiniMaxModel.load(tied, as("int4")).close();
    Path saved = temp.resolve("saved");
    save(saved, "int4");
    assertThatThrownBy(() -> MiniMaxModel.load(saved, as("int8")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("is quantized as int4/64 and cannot become int8/128");
    assertThatThrownBy(() -> save(saved, "int4"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("expected a new or an empty folder");
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  private static void save(Path to, String formats) {
    try (Checkpoint checkpoint =
        Checkpoint.open(
            fixture("small_qkv_eps/hf"), WeightFormats.parse(formats), ProgressListener.NONE)) {
      checkpoint.save(to);
    }
  }

  @Test
  void whatCannotBeWrittenLeavesNoFolderBehind() throws IOException {
    Path folder = BrokenCheckpoint.tensors(temp.resolve("m"), (scope, tensors) -> {});
    Path there = Files.createDirectory(temp.resolve("there"));
    Checkpoint closed = Checkpoint.open(folder);
    closed.close();
    assertThatThrownBy(() -> closed.save(temp.resolve("new")))
        .isInstanceOf(IllegalStateException.class);
    assertThat(temp.resolve("new")).doesNotExist();
    Path unreadable = Path.of("/proc/self/mem"); // also for the superuser
    Assumptions.assumeTrue(Files.exists(unreadable), "no such file here");
    Files.createSymbolicLink(folder.resolve("tokenizer.json"), unreadable);
    try (Checkpoint checkpoint = Checkpoint.open(folder)) {
      for (Path to : List.of(there, temp.resolve("new"))) {
        assertThatThrownBy(() -> checkpoint.save(to))
            .isInstanceOf(UncheckedIOException.class)
            .hasMessageContaining("cannot be written");
      }
    }
    assertThat(temp.resolve("new")).doesNotExist();
    assertThat(there).isEmptyDirectory();
  }

  @Test
  void memoryThatIsNotThereIsRefusedBeforehand() {
    long before = Memory.liveBytes();
    Path folder = fixture("small_qkv_eps/hf");
    for (String formats : new String[] {"int4", "bf16"}) {
      assertThatThrownBy(
              () ->
                  Checkpoint.open(
                      folder,
                      WeightFormats.parse(formats),
                      WeightPlacement.AUTO,
                      1000,
                      ProgressListener.NONE))
          .isInstanceOf(OutOfNativeMemoryException.class)
          .hasMessageMatching("weights as .* need \\d{5,} bytes of memory, and 1000 are .*");
    }
    Checkpoint.open(folder, WeightFormats.STORED, WeightPlacement.AUTO, 0, ProgressListener.NONE)
        .close();
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void aWeightThatIsNotANumberCannotBeCoded() {
    long before = Memory.liveBytes();
    Path folder =
        BrokenCheckpoint.tensors(
            temp.resolve("n"),
            (scope, tensors) ->
                tensors.compute(
                    "lm_head.weight",
                    (name, old) -> BrokenCheckpoint.with(scope, old, 33, Double.NaN)));
    assertThatThrownBy(() -> MiniMaxModel.load(folder, as("int8")))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("lm_head.weight cannot be quantized: w[1, 1]: expected a finite");
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  private static void change(
      Path weights, BiConsumer<Map<String, Tensor>, Map<String, String>> change)
      throws IOException {
    Path changed = weights.resolveSibling("changed.safetensors");
    try (SafetensorsFile file = SafetensorsFile.open(weights)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      file.names().forEach(name -> tensors.put(name, file.tensor(name)));
      Map<String, String> metadata = new HashMap<>(file.metadata());
      change.accept(tensors, metadata);
      SafetensorsWriter.write(changed, tensors, metadata);
    }
    Files.move(changed, weights, StandardCopyOption.REPLACE_EXISTING);
  }

  @Test
  void aScaleThatIsNotANumberIsFoundOnRequest() throws IOException {
    Path saved = temp.resolve("saved");
    save(saved, "int4");
    LoadOptions checked = LoadOptions.DEFAULT.withCheckWeights(true);
    MiniMaxModel.load(saved, checked).close();
    String name = "model.layers.1.block_sparse_moe.experts.3.w2.weight";
    try (MemoryScope scope = new MemoryScope()) {
      change(
          saved.resolve("model.safetensors"),
          (tensors, metadata) -> {
            Tensor ones = scope.allocate(DType.U8, tensors.get(name).shape());
            for (long i = 0; i < ones.elements(); i++) {
              ones.accessor().setLong(i, 255); // two of them are no number as bf16
            }
            tensors.put(name, ones);
          });
    }
    long before = Memory.liveBytes();
    assertThatThrownBy(() -> MiniMaxModel.load(saved, checked))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(name + ": scale of row ")
        .hasMessageContaining("expected a finite number, got NaN");
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          lightning4j.version | 2         | expected quantized weights of version 1, got version 2
          lightning4j.weights | int5      | metadata lightning4j.weights: weights: expected one of
          lightning4j.weights | ''        | metadata lightning4j.weights
          lightning4j.weights | int8      | for int8/128
          lightning4j.weights | head=int4 | expected shape
          """)
  void brokenQuantizedCheckpoints(String key, String value, String message) throws IOException {
    Path saved = temp.resolve("saved");
    save(saved, "int4");
    change(
        saved.resolve("model.safetensors"),
        (tensors, metadata) -> assertThat(metadata.put(key, value)).isNotNull());
    long before = Memory.liveBytes();
    assertThatThrownBy(() -> MiniMaxModel.load(saved))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(message);
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }
}

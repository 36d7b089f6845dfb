package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.minimax.internal.WeightPlan;
import io.github.lightning4j.minimax.vision.Resolution;
import io.github.lightning4j.minimax.vision.VisionConfig;
import io.github.lightning4j.minimax.vision.internal.VisionBinder;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** MiniMax-VL-01 as released: names and sizes, without any of its weights. */
final class ReleasedVisionTest {
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final int HIDDEN = 6144;

  @TempDir private Path folder;

  @BeforeEach
  void writeConfigs() throws IOException {
    ObjectNode text = JSON.createObjectNode();
    text.put("model_type", "minimax_text_01").put("hidden_act", "silu").put("postnorm", true);
    text.put("vocab_size", 200_064).put("hidden_size", HIDDEN).put("num_hidden_layers", 80);
    text.put("num_attention_heads", 64).put("num_key_value_heads", 8).put("head_dim", 128);
    text.put("rotary_dim", 64).put("rope_theta", 1e7).put("max_position_embeddings", 8192);
    text.put("num_local_experts", 32).put("num_experts_per_tok", 2);
    text.put("intermediate_size", 9216).put("shared_intermediate_size", 0);
    ArrayNode kinds = text.putArray("attn_type_list");
    for (int i = 0; i < 80; i++) {
      kinds.add(i % 8 == 7 ? 1 : 0);
    }
    ObjectNode config = JSON.createObjectNode();
    config.put("model_type", "minimax_vl_01").put("image_token_index", 200_025);
    config.put("vision_feature_layer", -1).put("vision_feature_select_strategy", "default");
    config.put("projector_hidden_act", "gelu").set("text_config", text);
    config
        .putObject("vision_config")
        .put("model_type", "clip_vision_model")
        .put("hidden_act", "gelu")
        .put("hidden_size", 1024)
        .put("num_hidden_layers", 24)
        .put("num_attention_heads", 16)
        .put("intermediate_size", 4096)
        .put("image_size", 336)
        .put("patch_size", 14);
    ObjectNode processor = JSON.createObjectNode();
    processor.put("process_image_mode", "anyres").put("patch_size", 14).put("size", 336);
    for (ObjectNode each : new ObjectNode[] {config, processor}) {
      ArrayNode sizes = each.putArray("image_grid_pinpoints");
      for (int wide = 1; wide <= 6; wide++) {
        int most = wide < 4 ? 6 : wide == 4 ? 4 : 3;
        for (int high = 1; high <= most; high++) {
          sizes.addArray().add(336 * wide).add(336 * high);
        }
      }
    }
    Files.writeString(folder.resolve("config.json"), config.toString());
    Files.writeString(folder.resolve("preprocessor_config.json"), processor.toString());
  }

  private VisionConfig vision() {
    return VisionConfigReader.read(folder).orElseThrow();
  }

  private static void put(Map<String, long[]> tensors, String name, long outputs, long inputs) {
    tensors.put(name + ".weight", new long[] {outputs, inputs});
    tensors.put(name + ".bias", new long[] {outputs});
  }

  private static void norm(Map<String, long[]> tensors, String name) {
    tensors.put(name + ".weight", new long[] {1024});
    tensors.put(name + ".bias", new long[] {1024});
  }

  /** As the checkpoint has them. */
  private static Map<String, long[]> tensors() {
    Map<String, long[]> tensors = new LinkedHashMap<>();
    String tower = "vision_tower.vision_model.";
    tensors.put(tower + "embeddings.class_embedding", new long[] {1024});
    tensors.put(tower + "embeddings.patch_embedding.weight", new long[] {1024, 3, 14, 14});
    tensors.put(tower + "embeddings.position_embedding.weight", new long[] {577, 1024});
    norm(tensors, tower + "pre_layrnorm");
    for (int i = 0; i < 24; i++) {
      String layer = tower + "encoder.layers." + i + ".";
      norm(tensors, layer + "layer_norm1");
      for (String name : new String[] {"q_proj", "k_proj", "v_proj", "out_proj"}) {
        put(tensors, layer + "self_attn." + name, 1024, 1024);
      }
      norm(tensors, layer + "layer_norm2");
      put(tensors, layer + "mlp.fc1", 4096, 1024);
      put(tensors, layer + "mlp.fc2", 1024, 4096);
    }
    put(tensors, "multi_modal_projector.linear_1", HIDDEN, 1024);
    put(tensors, "multi_modal_projector.linear_2", HIDDEN, HIDDEN);
    tensors.put("image_newline", new long[] {HIDDEN});
    return tensors;
  }

  private Set<String> names() {
    Set<String> names = new TreeSet<>(tensors().keySet());
    WeightPlan.of(MiniMaxConfig.load(folder), Set.of())
        .entries()
        .keySet()
        .forEach(name -> names.add("language_model." + name));
    return names;
  }

  /** The sum that the port in transformers keeps of the sorted names, a line each. */
  @Test
  void theNamesAreThoseOfTheRelease() throws Exception {
    assertThat(names()).hasSize(8637);
    byte[] lines = String.join("\n", names()).getBytes(StandardCharsets.UTF_8);
    assertThat(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(lines)))
        .startsWith("d0caf1b7");
  }

  @Test
  void theConfigTellsTheSizes() {
    VisionConfig vision = vision();
    assertThat(vision.imageToken()).isEqualTo(200_025);
    assertThat(vision.tower().patches()).isEqualTo(576);
    assertThat(vision.tower().layers()).isEqualTo(24);
    assertThat(vision.tower().hiddenSize()).isEqualTo(1024);
    assertThat(vision.preprocessor().layout(new Resolution(300, 300)).tokens()).isEqualTo(1176);
    assertThat(vision.preprocessor().layout(new Resolution(1000, 700)).tokens()).isEqualTo(4226);
    long expected =
        tensors().values().stream()
            .mapToLong(shape -> java.util.Arrays.stream(shape).reduce(1, Math::multiplyExact))
            .sum();
    assertThat(vision.parameters(HIDDEN)).isEqualTo(expected).isEqualTo(347_564_032L);
  }

  @Test
  void theReportNeedsTheIndexAlone() throws IOException {
    ObjectNode index = JSON.createObjectNode();
    index.putObject("metadata");
    ObjectNode map = index.putObject("weight_map");
    names().forEach(name -> map.put(name, "model-00001-of-00001.safetensors"));
    Files.writeString(folder.resolve("model.safetensors.index.json"), index.toString());
    ModelReport report = ModelReport.inspect(folder);
    assertThat(report.missingShards()).hasSize(1);
    assertThat(report.parameters().get(WeightRole.VISION)).isEqualTo(vision().parameters(HIDDEN));
    assertThat(report.totalParameters()).isEqualTo(456_089_655_296L + vision().parameters(HIDDEN));
  }

  /** A file with all names and shapes, and holes in place of 0.7 GB of weights. */
  @Test
  void theVisionSideIsFoundByNameAndShape() throws IOException {
    Path file = folder.resolve("vision.safetensors");
    ObjectNode header = JSON.createObjectNode();
    long at = 0;
    for (Map.Entry<String, long[]> tensor : tensors().entrySet()) {
      ObjectNode one = header.putObject(tensor.getKey()).put("dtype", "BF16");
      ArrayNode shape = one.putArray("shape");
      long bytes = 2;
      for (long side : tensor.getValue()) {
        shape.add(side);
        bytes *= side;
      }
      one.putArray("data_offsets").add(at).add(at + bytes);
      at += bytes;
    }
    byte[] json = header.toString().getBytes(StandardCharsets.UTF_8);
    try (RandomAccessFile to = new RandomAccessFile(file.toFile(), "rw")) {
      to.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).array());
      to.write(json);
      to.setLength(8 + json.length + at);
    }
    try (Safetensors source = SafetensorsFile.open(file);
        MemoryScope made = new MemoryScope()) {
      VisionBinder.Bound bound = VisionBinder.bind(vision(), HIDDEN, source, made);
      assertThat(bound.held().keySet()).isEqualTo(tensors().keySet());
      assertThat(bound.parameters()).isEqualTo(vision().parameters(HIDDEN));
    }
  }
}

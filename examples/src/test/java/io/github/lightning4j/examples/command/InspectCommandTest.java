package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax inspect}. */
final class InspectCommandTest {
  @TempDir private Path temp;

  @Test
  void tellsWhatTheEmbeddedModelIs() {
    JsonNode report = CommandRun.done("inspect", "--json").json();
    assertThat(report.get("dialect").asText()).isEqualTo("original");
    assertThat(report.get("layers").asInt()).isEqualTo(8);
    assertThat(report.get("totalParameters").asLong()).isEqualTo(6_532_992);
    assertThat(report.get("parametersByRole").get("expert").asLong())
        .isEqualTo(8L * 8 * 3 * 128 * 192);
    // Two of eight experts work, embedding and head do not count.
    assertThat(report.get("activeParameters").asLong())
        .isEqualTo(6_532_992 - 8L * 6 * 3 * 128 * 192 - 2L * 2048 * 128);
    assertThat(report.get("storedBytes").asLong()).isEqualTo(2 * 6_532_992L + 2 * 8 * 8 * 128);
    assertThat(report.get("storedAs").asText()).contains("fp32 router");
    assertThat(report.get("weightBytes").get("bf16").asLong()).isEqualTo(13_082_368);
    assertThat(report.get("kvBytesPerToken").asLong()).isEqualTo(2 * 2 * 4 * 64);
    assertThat(report.get("stateBytes").asLong()).isEqualTo(7L * 4 * 64 * 64 * 4);
    assertThat(report.get("missingShards")).isEmpty();
  }

  @Test
  void needsNoShards() throws Exception {
    Path folder = Files.createDirectories(temp.resolve("index-only"));
    Files.copy(Repository.NANO.resolve("config.json"), folder.resolve("config.json"));
    Files.writeString(folder.resolve("model.safetensors.index.json"), index().toString());
    JsonNode report = CommandRun.done("inspect", "--model", folder, "--json").json();
    assertThat(report.get("totalParameters").asLong()).isEqualTo(6_532_992);
    assertThat(report.get("storedBytes").asLong()).isEqualTo(13_082_368);
    assertThat(report.get("missingShards"))
        .extracting(JsonNode::asText)
        .containsExactly(
            "part-0.safetensors", "part-1.safetensors", "part-2.safetensors", "part-3.safetensors");
    String words = CommandRun.done("inspect", "--model", folder).out();
    assertThat(words)
        .contains("6,532,992 in total (6.53 million), 2.5 million active")
        .contains(
            "4 missing: part-0.safetensors, part-1.safetensors, part-2.safetensors and 1 more");
  }

  @Test
  void tellsWhatEachGpuHolds() {
    JsonNode report = CommandRun.done("inspect", "--json", "--gpus", 2).json();
    assertThat(report.get("weightBytesOfEachGpu").get("bf16").asLong())
        .isEqualTo(13_082_368 - 2L * 8 * 4 * 3 * 128 * 192);
    assertThat(CommandRun.done("inspect", "--gpus", 3).out())
        .contains(" of them on each of 3 GPUs that share the experts out");
    assertThat(CommandRun.of("inspect", "--gpus", "9").err())
        .contains("ranks: expected 1 to 8, one for each expert of a layer at most, got 9");
  }

  /** An index of the embedded model's tensors, as if they lay in four shards. */
  private static ObjectNode index() {
    ObjectNode index = new JsonMapper().createObjectNode();
    index.putObject("metadata").put("total_size", 13_082_368);
    ObjectNode map = index.putObject("weight_map");
    try (SafetensorsFile file =
        SafetensorsFile.open(Repository.NANO.resolve("model.safetensors"))) {
      for (String name : file.names()) {
        map.put(name, "part-" + map.size() * 4 / file.names().size() + ".safetensors");
      }
    }
    return index;
  }

  @Test
  void decodeFloorGoesWithTheBandwidth() {
    double slow = floor(100);
    assertThat(floor(200) / slow).isBetween(1.999, 2.001);
    // 100 GB/s over all active weights and the head as bf16, the router as fp32.
    double bytes = 2.0 * (2_469_760 + 262_144) + 2 * 8192;
    assertThat(slow * bytes).isBetween(0.999e11, 1.001e11);
  }

  private static double floor(int bandwidth) {
    return CommandRun.done("inspect", "--json", "--bandwidth", bandwidth)
        .json()
        .get("decodeTokensPerSecond")
        .get("bf16")
        .asDouble();
  }

  @Test
  void knowsTheReleasedModel() {
    Path folder = Repository.shared("minimax-m1");
    JsonNode report = CommandRun.done("inspect", "--model", folder, "--json").json();
    assertThat(report.get("totalParameters").asLong()).isEqualTo(456_089_655_296L);
    assertThat(report.get("activeParameters").asLong()).isBetween(45_850_000_000L, 45_949_999_999L);
    assertThat(report.get("storedBytes").asLong()).isEqualTo(912_210_767_872L);
    assertThat(report.get("storedAs").asText()).isEqualTo("16-bit weights, fp32 router weights");
    assertThat(report.get("kvBytesPerToken").asLong()).isEqualTo(40_960);
    assertThat(report.get("stateBytes").asLong()).isEqualTo(280L << 20);
    assertThat(report.get("missingShards")).hasSize(413);
    assertThat(CommandRun.done("inspect", "--model", folder).out())
        .contains("456,089,655,296 in total (456.09 billion), 45.9 billion active")
        .contains("70 lightning, 10 softmax")
        .contains("912,210,767,872 bytes: 16-bit weights, fp32 router weights")
        .contains("40,960 bytes a token")
        .contains("280.0 MiB")
        .contains("413 missing");
  }
}

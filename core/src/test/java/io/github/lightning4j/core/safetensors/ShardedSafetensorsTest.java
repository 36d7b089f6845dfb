package io.github.lightning4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class ShardedSafetensorsTest {
  private static final String ONE = "model-00001-of-00002.safetensors";
  private static final String TWO = "model-00002-of-00002.safetensors";

  @TempDir Path folder;

  @BeforeEach
  void twoShards() throws IOException {
    shard(ONE, "a", 1, "b", 2);
    shard(TWO, "c", 3);
    index("\"b\":\"" + ONE + "\",\"c\":\"" + TWO + "\",\"a\":\"" + ONE + "\"");
  }

  private void shard(String file, Object... namesAndValues) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      tensors.put(
          (String) namesAndValues[i], Tensor.of(new int[] {(Integer) namesAndValues[i + 1]}, 1));
    }
    SafetensorsWriter.write(folder.resolve(file), tensors, Map.of());
    tensors.values().forEach(Tensor::close);
  }

  private void index(String map) throws IOException {
    json("{\"metadata\":{\"total_size\":12},\"weight_map\":{" + map + "}}");
  }

  private void json(String text) throws IOException {
    Files.writeString(folder.resolve(SafetensorsIndex.FILE), text);
  }

  @Test
  void readsShardsAsOne() {
    Tensor c;
    try (Safetensors weights = Safetensors.open(folder)) {
      assertThat(weights).isInstanceOf(ShardedSafetensors.class);
      assertThat(weights.path()).isEqualTo(folder);
      assertThat(weights.names()).containsExactly("a", "b", "c");
      assertThat(weights.tensor("a").toLongs()).containsExactly(1);
      assertThat(weights.info("b").type()).isEqualTo(StoredType.I32);
      c = weights.tensor("c");
      assertThat(c.toLongs()).containsExactly(3);
      assertThatThrownBy(() -> weights.tensor("d"))
          .isInstanceOf(CheckpointException.class)
          .hasMessage("%s: no tensor 'd' among the 3 it has", folder);
    }
    assertThatThrownBy(c::address).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void closesOnce() {
    ShardedSafetensors weights = ShardedSafetensors.open(folder);
    assertThat(weights.index().shards()).containsExactly(ONE, TWO);
    weights.close();
    assertThatThrownBy(weights::close).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(() -> weights.tensor("a")).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void prefersASingleFile() {
    shard("model.safetensors", "single", 7);
    try (Safetensors weights = Safetensors.open(folder)) {
      assertThat(weights.names()).containsExactly("single");
    }
    try (Safetensors weights = Safetensors.open(folder.resolve(TWO))) {
      assertThat(weights.names()).containsExactly("c");
    }
  }

  @Test
  void readsTheIndexWithoutAnyShard() throws IOException {
    Files.delete(folder.resolve(ONE));
    SafetensorsIndex index = SafetensorsIndex.read(folder);
    assertThat(index.names()).containsExactly("b", "c", "a");
    assertThat(index.shardOf()).containsEntry("c", TWO);
    assertThat(index.totalBytes()).hasValue(12);
    assertThat(index.shards()).containsExactly(ONE, TWO);
    assertThat(index.missingShards()).containsExactly(ONE);
    json("{\"weight_map\":{\"a\":\"" + TWO + "\"},\"metadata\":{\"total_size\":9.12e11}}");
    assertThat(SafetensorsIndex.read(folder).totalBytes()).hasValue(912_000_000_000L);
    json("{\"weight_map\":{\"a\":\"" + TWO + "\"}}");
    assertThat(SafetensorsIndex.read(folder).totalBytes()).isEmpty();
    assertThat(SafetensorsIndex.read(folder).missingShards()).isEmpty();
  }

  private void refuses(String file, String message) {
    assertThatThrownBy(() -> Safetensors.open(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageStartingWith(folder.resolve(file) + ": " + message);
  }

  @Test
  void namesAMissingShard() throws IOException {
    Files.delete(folder.resolve(TWO));
    refuses(TWO, "expected a shard with 'c' and others, got no file; 1 of 2 shards are missing");
  }

  @Test
  void namesATensorThatItsShardLacks() throws IOException {
    index("\"a\":\"" + ONE + "\",\"z\":\"" + ONE + "\"");
    refuses(ONE, "expected tensor 'z' as the index says, got none of that name");
    index("\"a\":\"" + ONE + "\",\"c\":\"" + ONE + "\",\"c2\":\"" + TWO + "\"");
    refuses(ONE, "expected tensor 'c' as the index says, got none of that name");
  }

  @Test
  void namesATensorInTwoShards() {
    shard(TWO, "c", 3, "a", 1);
    refuses(TWO, "tensor 'a' is also in " + ONE);
  }

  @Test
  void seesNoTensorThatTheIndexLeavesOut() throws IOException {
    index("\"a\":\"" + ONE + "\",\"c\":\"" + TWO + "\"");
    try (Safetensors weights = Safetensors.open(folder)) {
      assertThat(weights.names()).containsExactly("a", "c");
      assertThatThrownBy(() -> weights.info("b")).isInstanceOf(CheckpointException.class);
    }
  }

  @Test
  void passesOnWhatIsWrongWithAShard() throws IOException {
    Files.write(folder.resolve(TWO), new byte[3]);
    refuses(TWO, "expected at least 8 bytes");
  }

  @Test
  void refusesABrokenIndex() throws IOException {
    String file = SafetensorsIndex.FILE;
    json("{\"weight_map\":[]}");
    refuses(file, "expected an object 'weight_map', got ARRAY");
    json("{}");
    refuses(file, "expected an object 'weight_map', got MISSING");
    json("{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}");
    refuses(file, "not JSON at byte");
    json("{\"weight_map\":{}} 1");
    refuses(file, "not JSON at byte");
    json("");
    refuses(file, "expected an object 'weight_map', got MISSING");
    for (String shard :
        new String[] {"1", "\"\"", "\"../x\"", "\"/etc/x\"", "\"a\\\\b\"", "null"}) {
      json("{\"weight_map\":{\"a\":" + shard + "}}");
      refuses(file, "tensor 'a': expected the name of a file beside the index, got " + shard);
    }
    for (String total : new String[] {"\"1\"", "1.5", "-1", "1e30", "99999999999999999999"}) {
      json("{\"weight_map\":{},\"metadata\":{\"total_size\":" + total + "}}");
      refuses(file, "total_size: expected a whole number of bytes, got ");
    }
    Files.delete(folder.resolve(file));
    refuses(file, "cannot be read (java.nio.file.NoSuchFileException");
  }
}

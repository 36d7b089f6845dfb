package io.github.lightning4j.moe;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** The golden data of one case: its tensors and the tolerances its README.json states. */
final class FixtureFile implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final MemoryScope scope = new MemoryScope();
  private final JsonNode header;
  private final JsonNode readme;
  private final byte[] file;
  private final int data;

  FixtureFile(String name) {
    try {
      readme = JSON.readTree(resource(name + "/README.json"));
      file = resource(name + "/data.safetensors");
      int length = (int) ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getLong();
      data = 8 + length;
      header = JSON.readTree(new String(file, 8, length, StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] resource(String path) throws IOException {
    try (InputStream in = FixtureFile.class.getResourceAsStream("/fixtures/" + path)) {
      if (in == null) {
        throw new IOException("no test resource /fixtures/" + path);
      }
      return in.readAllBytes();
    }
  }

  /** A tensor that lives until this is closed. */
  Tensor tensor(String name) {
    JsonNode entry = header.required(name);
    long[] shape = JSON.convertValue(entry.get("shape"), long[].class);
    Tensor tensor = scope.allocate(DType.of(entry.get("dtype").asText()), shape);
    int from = entry.get("data_offsets").get(0).asInt();
    int to = entry.get("data_offsets").get(1).asInt();
    tensor.pointer().asByteBuffer().put(file, data + from, to - from);
    return tensor;
  }

  int size(String name) {
    return readme.required(name).asInt();
  }

  double tolerance(String name) {
    return readme.required("recommended_atol").required(name).asDouble();
  }

  @Override
  public void close() {
    scope.close();
  }
}

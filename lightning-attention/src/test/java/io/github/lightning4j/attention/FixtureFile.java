package io.github.lightning4j.attention;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** A folder of golden data: {@code README.json} and the F32 tensors of {@code data.safetensors}. */
final class FixtureFile {
  private final String name;
  private final JsonNode readme;
  private final ByteBuffer bytes;
  private final JsonNode header;
  private final int data;

  FixtureFile(String name) {
    this.name = name;
    this.readme = readme(name);
    this.bytes = ByteBuffer.wrap(read(name, "data.safetensors")).order(ByteOrder.LITTLE_ENDIAN);
    int length = (int) bytes.getLong(0);
    this.header = json(new String(bytes.array(), 8, length));
    this.data = 8 + length;
  }

  static JsonNode readme(String name) {
    return json(new String(read(name, "README.json")));
  }

  /** A copy of a tensor; the caller closes it. */
  Tensor tensor(String tensor) {
    JsonNode entry = header.required(tensor);
    if (!entry.required("dtype").asText().equals("F32")) {
      throw new IllegalStateException(name + ": " + tensor + " is not F32");
    }
    long[] shape = new long[entry.required("shape").size()];
    int count = 1;
    for (int i = 0; i < shape.length; i++) {
      shape[i] = entry.required("shape").get(i).asLong();
      count *= (int) shape[i];
    }
    float[] values = new float[count];
    int from = data + entry.required("data_offsets").get(0).asInt();
    bytes.slice(from, 4 * count).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
    return Tensor.of(values, shape);
  }

  /** The stated absolute tolerance of a tensor. */
  double atol(String tensor) {
    return readme.required("recommended_atol").required(tensor).asDouble();
  }

  private static JsonNode json(String text) {
    try {
      return new ObjectMapper().readTree(text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static byte[] read(String name, String file) {
    String path = "/fixtures/" + name + "/" + file;
    try (InputStream in = FixtureFile.class.getResourceAsStream(path)) {
      if (in == null) {
        throw new IllegalStateException("no test resource " + path);
      }
      return in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

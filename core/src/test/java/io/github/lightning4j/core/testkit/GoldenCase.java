package io.github.lightning4j.core.testkit;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;

/**
 * Golden data in the test resources of a module: {@code fixtures/NAME/README.json} with shapes and
 * tolerances, and the tensors of {@code data.safetensors}.
 */
public final class GoldenCase implements AutoCloseable {
  private final MemoryScope scope = new MemoryScope();
  private final JsonNode readme;
  private final SafetensorsFile data;

  /**
   * Opens a case.
   *
   * @param owner a class of the module that has it
   * @param name the folder
   */
  public GoldenCase(Class<?> owner, String name) {
    readme = readme(owner, name);
    data = scope.add(SafetensorsFile.open(path(owner, name + "/data.safetensors")));
  }

  /** The README of a case, parsed. */
  public static JsonNode readme(Class<?> owner, String name) {
    try {
      return JsonMapper.builder().build().readTree(path(owner, name + "/README.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path path(Class<?> owner, String name) {
    URL url = owner.getResource("/fixtures/" + name);
    if (url == null) {
      throw new IllegalStateException("no test resource /fixtures/" + name);
    }
    try {
      return Path.of(url.toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  /** A fresh copy of a tensor that lives until this is closed. */
  public Tensor tensor(String name) {
    Tensor stored = data.tensor(name);
    Tensor copy = scope.allocate(stored.dtype(), stored.shape());
    copy.copyFrom(stored);
    return copy;
  }

  /** The stated absolute tolerance of a tensor. */
  public double tolerance(String name) {
    return readme.required("recommended_atol").required(name).asDouble();
  }

  /** A size that the README states. */
  public int size(String name) {
    return readme.required(name).asInt();
  }

  @Override
  public void close() {
    scope.close();
  }
}

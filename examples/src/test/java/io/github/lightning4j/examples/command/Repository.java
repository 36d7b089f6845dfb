package io.github.lightning4j.examples.command;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;

/** Models and files that tests run the command on. */
final class Repository {
  /** The root of the suite. */
  static final Path ROOT = Path.of(System.getProperty("lightning4j.repository", ".."));

  /** The trained small model. */
  static final Path NANO = ROOT.resolve("models/minimax-nano");

  private Repository() {}

  /** A model case of random weights, with its expected tensors beside it. */
  static Path fixture(String name) {
    return ROOT.resolve("model-minimax/src/test/resources/fixtures").resolve(name);
  }

  /** A file that lies beside the repository on some machines; the test is skipped on others. */
  static Path shared(String name) {
    String folder = System.getProperty("lightning4j.shared");
    Path file = (folder == null ? ROOT.resolve("../shared") : Path.of(folder)).resolve(name);
    assumeTrue(
        Files.exists(file), () -> "skipped: no " + file + " (-Dlightning4j.shared=FOLDER tells)");
    return file;
  }

  /** Copies the files of a folder. */
  static Path copy(Path from, Path to) {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(from)) {
      Files.createDirectories(to);
      for (Path file : files) {
        Files.write(to.resolve(file.getFileName()), Files.readAllBytes(file));
      }
      return to;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Changes a JSON object in a file. */
  static void edit(Path file, Consumer<ObjectNode> change) {
    try {
      ObjectNode node = (ObjectNode) json(file);
      change.accept(node);
      Files.writeString(file, node.toString());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Reads JSON. */
  static JsonNode json(Path file) {
    try {
      return new JsonMapper().readTree(Files.readString(file));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}

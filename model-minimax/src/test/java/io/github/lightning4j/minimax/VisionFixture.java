package io.github.lightning4j.minimax;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;

/**
 * A prompt with pictures of the golden data.
 *
 * @param name the tiny model
 * @param prompt what its tensors' names begin with
 */
record VisionFixture(String name, String prompt) {
  static List<VisionFixture> all() {
    List<VisionFixture> all = new ArrayList<>();
    for (String name : List.of("gelu_4l", "quickgelu_8l")) {
      for (String prompt : List.of("one", "two")) {
        all.add(new VisionFixture(name, prompt));
      }
    }
    return all;
  }

  Path folder() {
    return ModelFixture.root().resolve("vl-tiny").resolve(name).resolve("orig");
  }

  SafetensorsFile openGolden() {
    return SafetensorsFile.open(folder().resolveSibling("expected.safetensors"));
  }

  private JsonNode readme() {
    try {
      return JsonMapper.builder().build().readTree(folder().resolveSibling("README.json").toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  double tolerance(String kind) {
    return readme().required("noise").required(kind).required("recommended_atol").asDouble();
  }

  List<RgbImage> images() {
    List<RgbImage> images = new ArrayList<>();
    for (JsonNode facts : readme().required("prompts")) {
      if (facts.get("name").asText().equals(prompt)) {
        facts.get("images").forEach(image -> images.add(image(image.asText())));
      }
    }
    return images;
  }

  /** A picture of the preprocessing cases. */
  static RgbImage image(String name) {
    Path folder = ModelFixture.root().resolve("vl-preprocess/images");
    Path png = folder.resolve(name + ".png");
    return RgbImage.read(Files.exists(png) ? png : folder.resolve(name + ".jpg"));
  }

  int[] ids(SafetensorsFile golden, String what) {
    return ModelContract.ints(golden, prompt + "." + what);
  }

  private void copy(Path to) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder())) {
      Files.createDirectories(to);
      for (Path from : files) {
        Files.write(to.resolve(from.getFileName()), Files.readAllBytes(from));
      }
    }
  }

  /** A copy of the checkpoint folder with a tokenizer that has one token a character. */
  Path withTokenizer(Path to) {
    ObjectNode vocabulary = JsonMapper.builder().build().createObjectNode();
    String characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<>_=?.,!ĠĊ";
    for (int i = 0; i < characters.length(); i++) {
      vocabulary.put(characters.substring(i, i + 1), i);
    }
    try {
      copy(to);
      Files.writeString(to.resolve("vocab.json"), vocabulary.toString());
      Files.writeString(to.resolve("merges.txt"), "#version: 0.2\n");
      return to;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A copy of the checkpoint folder with the text of one file changed. */
  Path changed(Path to, String file, UnaryOperator<String> change) {
    try {
      copy(to);
      String before = Files.readString(to.resolve(file));
      String after = change.apply(before);
      if (after.equals(before)) {
        throw new IllegalArgumentException("nothing has changed in " + file);
      }
      Files.writeString(to.resolve(file), after);
      return to;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public String toString() {
    return name + "." + prompt;
  }
}

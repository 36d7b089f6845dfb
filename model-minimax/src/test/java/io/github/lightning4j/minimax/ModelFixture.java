package io.github.lightning4j.minimax;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A model case of the golden data: a checkpoint in one layout, what it must give, and how closely.
 *
 * @param name the case
 * @param layout the folder of the checkpoint: hf, hf_fused or orig
 * @param golden the file with the truth for this layout
 * @param prefix of the tolerance keys
 */
record ModelFixture(String name, String layout, Path golden, String prefix) {
  private static final List<String> CASES =
      List.of(
          "alt_gqa_b32",
          "e32_block256_tied",
          "heads6_nonpow2",
          "hybrid7to1_alpha",
          "orig_prenorm_shared",
          "partial_rope_orig",
          "small_qkv_eps");

  /** Every layout of every case with every file that is a truth for it. */
  static List<ModelFixture> all() {
    List<ModelFixture> all = new ArrayList<>();
    for (String name : CASES) {
      Path truth = root().resolve(name).resolve("expected.safetensors");
      boolean transformers = Files.isDirectory(root().resolve(name).resolve("hf"));
      for (String layout : List.of("hf", "hf_fused")) {
        if (Files.isDirectory(root().resolve(name).resolve(layout))) {
          all.add(new ModelFixture(name, layout, truth, ""));
        }
      }
      if (!transformers) {
        all.add(new ModelFixture(name, "orig", truth, ""));
      }
      Path original = root().resolve(name).resolve("orig/expected.safetensors");
      all.add(new ModelFixture(name, "orig", original, "orig."));
    }
    return all;
  }

  static Path root() {
    try {
      return Path.of(ModelFixture.class.getResource("/fixtures").toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  Path folder() {
    return root().resolve(name).resolve(layout);
  }

  SafetensorsFile openGolden() {
    return SafetensorsFile.open(golden);
  }

  /** The tolerance the case states for a kind of tensor. */
  double tolerance(String kind) {
    try {
      JsonNode noise =
          JsonMapper.builder()
              .build()
              .readTree(root().resolve(name).resolve("README.json").toFile())
              .get("noise");
      // Values are stated as closely as keys where a case has no line of its own for them.
      for (String key :
          List.of(prefix + kind, kind, "orig." + kind, kind.equals("v") ? "k" : kind)) {
        if (noise.hasNonNull(key)) {
          return noise.get(key).get("recommended_atol").asDouble();
        }
      }
      throw new IllegalStateException(name + " states no tolerance for " + kind);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The lengths T of the {@code sT.*} sequences. */
  static List<String> sequences(SafetensorsFile golden) {
    return golden.names().stream()
        .filter(key -> key.matches("s\\d+\\.input_ids"))
        .map(key -> key.substring(0, key.indexOf('.')))
        .toList();
  }

  @Override
  public String toString() {
    return name + "/" + layout + " against " + golden.getParent().getFileName();
  }
}

package io.github.lightning4j.minimax.vision;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A picture of the golden data and what becomes of it. */
record ImageCase(JsonNode facts) {
  static Path folder() {
    try {
      return Path.of(ImageCase.class.getResource("/fixtures/vl-preprocess").toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  static JsonNode json(String file) {
    try {
      return JsonMapper.builder().build().readTree(folder().resolve(file).toFile());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static List<ImageCase> all() {
    List<ImageCase> all = new ArrayList<>();
    json("cases.json").forEach(facts -> all.add(new ImageCase(facts)));
    return all;
  }

  static List<Resolution> resolutions(JsonNode pairs) {
    List<Resolution> list = new ArrayList<>();
    pairs.forEach(p -> list.add(new Resolution(p.get(0).asInt(), p.get(1).asInt())));
    return list;
  }

  /** The geometry of a layout under the names of the golden data. */
  static String geometry(TileLayout layout) {
    TileLayout.Cells kept = layout.kept();
    return List.of(
            layout.canvas(),
            layout.resized(),
            layout.left(),
            layout.top(),
            layout.tilesWide(),
            layout.tilesHigh(),
            layout.tiles(),
            layout.gridWidth(),
            layout.gridHeight(),
            kept,
            layout.tokens())
        .toString();
  }

  static String geometry(JsonNode row) {
    return List.of(
            row.get("best_width").asText() + "x" + row.get("best_height").asText(),
            row.get("resized_width").asText() + "x" + row.get("resized_height").asText(),
            row.get("paste_x").asInt(),
            row.get("paste_y").asInt(),
            row.get("tiles_w").asInt(),
            row.get("tiles_h").asInt(),
            row.get("num_tiles").asInt(),
            row.get("grid_w").asInt(),
            row.get("grid_h").asInt(),
            new TileLayout.Cells(
                row.get("unpad_x0").asInt(),
                row.get("unpad_y0").asInt(),
                row.get("unpad_w").asInt(),
                row.get("unpad_h").asInt()),
            row.get("tokens").asInt())
        .toString();
  }

  Path file() {
    return folder().resolve(facts.get("file").asText());
  }

  SafetensorsFile open() {
    return SafetensorsFile.open(folder().resolve(facts.get("data").asText()));
  }

  ImagePreprocessor preprocessor() {
    AnyResolution resolution =
        new AnyResolution(
            facts.get("tile").asInt(),
            facts.get("patch").asInt(),
            resolutions(facts.get("pinpoints")));
    return new ImagePreprocessor(
        resolution, ImagePreprocessor.CLIP_MEAN, ImagePreprocessor.CLIP_DEVIATION);
  }

  @Override
  public String toString() {
    return facts.get("name").asText();
  }
}

package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.text.Tokenizer;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax caption-report}, on a model trained for it and pictures that were held out. */
final class CaptionReportTest {
  private static final int TOKENS = 80;

  @TempDir private static Path model;

  @BeforeAll
  static void assemble() throws Exception {
    CaptionCheckpoint.write(model);
  }

  @Test
  void thirtyTwoBitsSayWhatPyTorchSays() {
    JsonNode expected = Repository.json(CaptionCheckpoint.FOLDER.resolve("expected.json"));
    String prompt = expected.get("prompt").asText();
    List<CaptionedPicture> pictures = CaptionCheckpoint.pictures();
    assertThat(expected.get("captions")).hasSizeBetween(8, pictures.size());
    double right = 0;
    try (MiniMaxModel loaded = MiniMaxModel.load(model);
        TextModel open = new TextModel(loaded, Tokenizer.load(model))) {
      Captioner captioner = new Captioner(loaded, open.tokenizer(), ".", TOKENS);
      for (int i = 0; i < expected.get("captions").size(); i++) {
        List<RgbImage> picture = List.of(RgbImage.read(pictures.get(i).picture()));
        try (ImagePrompt read = open.imagePrompt("--prompt", prompt, picture)) {
          String said = captioner.caption(read, KvCacheFormat.F32).text();
          assertThat(said).isEqualTo(expected.get("captions").get(i).asText());
          right += pictures.get(i).right(said) / expected.get("captions").size();
        }
      }
    }
    assertThat(right).isCloseTo(expected.get("namesRight").asDouble(), within(1e-9));
  }
}

package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.KvCalibration;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.ProgressListener;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The formats of {@code kv-report} on stories260K, a public Llama of five softmax layers. Skipped
 * where its files are not; writes the table of the notes to {@code target/stories-llama.md}.
 */
final class StoriesLlamaTest {
  /** Positions the model knows. */
  private static final int CONTEXT = 512;

  @TempDir private Path temp;

  @Test
  void formatsOfCachesStandAsInTheNotes() throws Exception {
    Path llama = Repository.shared("models/stories-llama");
    JsonNode facts = Repository.json(llama.resolve("expected.json"));
    Map<String, CacheQuality> found;
    try (MiniMaxModel model = MiniMaxModel.load(LlamaCheckpoint.convert(llama, temp))) {
      Path calibration = calibrate(model, facts.get("sampled"));
      List<KvCacheFormat> formats = new ArrayList<>(KvReport.formats(128, calibration));
      formats.add(KvCacheFormat.F32);
      found = measure(model, formats, facts.get("stories"));
    }
    write(found);
    double published = facts.get("perplexity").get("stories").asDouble();
    assertThat(found.get("f32").perplexity()).isCloseTo(published, within(1e-4));
    double exact = found.get("bf16").perplexity();
    double naive = found.get("naive-2").perplexity();
    assertThat(exact).isCloseTo(published, within(0.01));
    assertThat(found.get("int8").perplexity()).isCloseTo(published, within(0.01));
    for (String kind : List.of("naive", "quarot", "rotatekv")) {
      assertThat(found.get(kind + "-4").perplexity())
          .isLessThan(found.get(kind + "-3").perplexity());
      assertThat(found.get(kind + "-3").perplexity())
          .isLessThan(found.get(kind + "-2").perplexity());
    }
    double centered = found.get("kv2-centered - window").perplexity();
    assertThat((naive - centered) / (naive - exact)).as("gap closed").isGreaterThan(0.8);
    assertThat(found.get("kv2").perplexity())
        .isLessThan(1.02 * exact)
        .isLessThan(found.get("rotatekv-2 + window").perplexity());
  }

  private static int[] ids(JsonNode list) {
    return StreamSupport.stream(list.spliterator(), false).mapToInt(JsonNode::asInt).toArray();
  }

  /** One sequence a window: all are of one length, so none reads another. */
  private Path calibrate(MiniMaxModel model, JsonNode sampled) {
    int length = sampled.get(0).size();
    List<Integer> all = new ArrayList<>();
    for (JsonNode sequence : sampled) {
      assertThat(sequence).hasSize(length);
      sequence.forEach(id -> all.add(id.asInt()));
    }
    int[] ids = all.stream().mapToInt(id -> id).toArray();
    Path file = temp.resolve("calibration.safetensors");
    CalibrationFile.write(
        file, KvCalibration.of(model, ids, length, "sampled", ProgressListener.NONE));
    return file;
  }

  /** Over all stories, each read from its beginning. */
  private static Map<String, CacheQuality> measure(
      MiniMaxModel model, List<KvCacheFormat> formats, JsonNode stories) {
    Map<String, CacheQuality> sums = new LinkedHashMap<>();
    List<KvCacheFormat> others = formats.subList(1, formats.size());
    for (JsonNode story : stories) {
      List<CacheQuality> here =
          CacheQuality.of(
              model, formats.get(0), others, ids(story), CONTEXT, ProgressListener.NONE);
      for (int i = 0; i < formats.size(); i++) {
        sums.merge(formats.get(i).name(), here.get(i), StoriesLlamaTest::together);
      }
    }
    return sums;
  }

  private static CacheQuality together(CacheQuality a, CacheQuality b) {
    long tokens = a.tokens() + b.tokens();
    double share = (double) a.tokens() / tokens;
    return new CacheQuality(
        Math.pow(a.perplexity(), share) * Math.pow(b.perplexity(), 1 - share),
        a.divergence() * share + b.divergence() * (1 - share),
        a.agreement() * share + b.agreement() * (1 - share),
        tokens);
  }

  private static void write(Map<String, CacheQuality> found) throws Exception {
    StringBuilder table = new StringBuilder("| format | perplexity | KL, nats | top-1 |\n");
    table.append("| --- | --- | --- | --- |\n");
    found.forEach(
        (name, quality) ->
            table.append(
                String.format(
                    Locale.ROOT,
                    "| %s | %.4f | %.5f | %.2f %% |%n",
                    name,
                    quality.perplexity(),
                    quality.divergence(),
                    100 * quality.agreement())));
    Files.writeString(Path.of("target", "stories-llama.md"), table);
  }
}

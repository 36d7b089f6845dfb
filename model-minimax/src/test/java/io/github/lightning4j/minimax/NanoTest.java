package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.GenerationResult.FinishReason;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The embedded model says what its makers say it says. */
final class NanoTest {
  private static MiniMaxModel model;
  private static Tokenizer tokenizer;
  private static JsonNode expected;

  @BeforeAll
  static void load() throws IOException {
    model = Nano.load();
    tokenizer = Tokenizer.load(Nano.FOLDER);
    expected = JsonMapper.builder().build().readTree(Nano.FOLDER.resolve("expected.json").toFile());
  }

  @AfterAll
  static void close() {
    tokenizer.close();
    model.close();
  }

  /** The reference would take many minutes for tens of thousands of tokens. */
  private static void needsNativeKernels() {
    Assumptions.assumeTrue(Gemm.availability().isAvailable(), Gemm.availability().reason());
  }

  private static int[] ints(JsonNode array) {
    int[] ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = array.get(i).asInt();
    }
    return ids;
  }

  @Test
  void greedyTextIsEqualTokenByToken() {
    assertThat(expected.get("greedy")).isNotEmpty();
    for (JsonNode greedy : expected.get("greedy")) {
      int[] ids = ints(greedy.get("greedy_ids"));
      String prompt = greedy.get("prompt").asText();
      assertThat(tokenizer.encode(prompt)).isEqualTo(ints(greedy.get("prompt_ids")));
      StringBuilder streamed = new StringBuilder();
      GenerationResult result =
          new Generator(model, tokenizer)
              .stream(
                  prompt,
                  GenerationOptions.builder().maxNewTokens(ids.length).build(),
                  streamed::append);
      assertThat(result.idArray()).isEqualTo(ids);
      assertThat(result.text()).isEqualTo(greedy.get("text").asText());
      assertThat(streamed).hasToString(result.text());
      assertThat(result.finishReason()).isEqualTo(FinishReason.LENGTH);
    }
  }

  @Test
  void batchesGiveWhatEachPromptGivesAlone() {
    List<int[]> prompts = new ArrayList<>();
    List<int[]> answers = new ArrayList<>();
    for (JsonNode greedy : expected.get("greedy")) {
      prompts.add(ints(greedy.get("prompt_ids")));
      answers.add(ints(greedy.get("greedy_ids")));
    }
    GenerationOptions options =
        GenerationOptions.builder().maxNewTokens(answers.get(0).length).build();
    List<GenerationResult> results = new Generator(model).generateBatch(prompts, options);
    for (int i = 0; i < prompts.size(); i++) {
      assertThat(results.get(i).idArray()).isEqualTo(answers.get(i));
    }
  }

  @Test
  void perplexityOfHeldOutTextIsTheStatedOne() throws IOException {
    needsNativeKernels();
    String text;
    try (var stream = NanoTest.class.getResourceAsStream("/text/austen-heldout.txt")) {
      text = new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    }
    int[] ids = tokenizer.encode(text);
    JsonNode stated = expected.get("perplexity");
    for (int window : new int[] {32, 512}) {
      double value = stated.get("window_" + window).asDouble();
      assertThat(perplexity(ids, window)).isCloseTo(value, within(0.005 * value));
    }
  }

  private static double perplexity(int[] ids, int window) {
    double sum = 0;
    long count = 0;
    for (int from = 0; from + 1 < ids.length; from += window) {
      int[] part = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + window));
      try (Session session = model.newSession();
          Tensor logits = Tensor.allocate(DType.F32, part.length, model.config().vocabSize())) {
        session.forward(part, ForwardObserver.NONE, logits);
        for (int t = 0; t + 1 < part.length; t++) {
          sum += negativeLogLikelihood(logits.select(0, t).toFloats(), part[t + 1]);
          count++;
        }
      }
    }
    return Math.exp(sum / count);
  }

  private static double negativeLogLikelihood(float[] logits, int id) {
    double highest = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      highest = Math.max(highest, logit);
    }
    double sum = 0;
    for (float logit : logits) {
      sum += Math.exp(logit - highest);
    }
    return highest + Math.log(sum) - logits[id];
  }

  @Test
  void theHeapDoesNotGrowOverTenThousandDecodedTokens() {
    needsNativeKernels();
    try (Session session = model.newSession()) {
      session.prefill(1404, 349);
      for (int i = 0; i < 500; i++) {
        session.decode(i % 2048);
      }
      long before = usedHeap();
      for (int i = 0; i < 7000; i++) {
        session.decode(i % 2048);
      }
      try (Session second = model.newSession()) {
        for (int i = 0; i < 3000; i++) {
          second.decode(i % 2048);
        }
      }
      assertThat(usedHeap() - before).as("bytes of heap kept").isLessThan(1 << 20);
    }
  }

  private static long usedHeap() {
    Runtime runtime = Runtime.getRuntime();
    long least = Long.MAX_VALUE;
    for (int i = 0; i < 5; i++) {
      System.gc();
      least = Math.min(least, runtime.totalMemory() - runtime.freeMemory());
    }
    return least;
  }
}

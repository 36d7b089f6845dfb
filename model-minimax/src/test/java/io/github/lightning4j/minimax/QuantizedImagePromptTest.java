package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.common.primitives.Doubles;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Prompts with pictures over quantized caches. */
final class QuantizedImagePromptTest {
  private static final VisionFixture TWO = new VisionFixture("quickgelu_8l", "two");

  /** A small window, so that most of the pictures' tokens leave it. */
  private static KvCacheFormat format(String name) {
    KvCacheFormat format = KvCacheFormat.of(name);
    return format.withTokens(format.policy().orElseThrow().tokens().withRecentWindow(16, 1));
  }

  /** The logits behind a prompt of two pictures, then those behind each golden answer. */
  private static List<double[]> logits(KvCacheFormat format, int chunk) {
    LoadOptions options = LoadOptions.DEFAULT.withCacheFormat(format).withPrefillChunk(chunk);
    try (SafetensorsFile golden = TWO.openGolden();
        MiniMaxModel model = MiniMaxModel.load(TWO.folder(), options);
        ImagePrompt prompt = model.imagePrompt(TWO.ids(golden, "prompt_ids"), TWO.images());
        Session session = model.newSession()) {
      List<double[]> logits = new ArrayList<>();
      logits.add(ModelContract.widen(session.prefill(prompt, ProgressListener.NONE)));
      if (format.isPacked()) {
        assertThat(session.packedBitsPerElement()).isBetween(2.0, 4.0);
      }
      for (int id : TWO.ids(golden, "gen_ids")) {
        logits.add(ModelContract.widen(session.decode(id)));
      }
      return logits;
    }
  }

  private static double[] answers(List<double[]> logits) {
    return Doubles.concat(logits.subList(1, logits.size()).toArray(new double[0][]));
  }

  @Test
  void twoBitsHoldPicturesAsTheyHoldText() {
    List<double[]> exact = logits(KvCacheFormat.exact(DType.F16), 512);
    for (String name : new String[] {"kv2", "rotatekv-2"}) {
      List<double[]> got = logits(format(name), 512);
      Closeness.assertNmse(name, answers(got), answers(exact), 0.1);
      assertThat(Arrays.equals(answers(got), answers(exact))).isFalse();
    }
  }

  @Test
  void aPromptThatReadsItselfExactlyMayBeCutWithinAPicture() {
    double[] exact = logits(KvCacheFormat.exact(DType.F16), 512).get(0);
    List<double[]> whole = logits(format("kv2"), 512);
    Closeness.assertNmse("prompt", whole.get(0), exact, 1e-6);
    for (int chunk : new int[] {50, 16}) {
      List<double[]> pieces = logits(format("kv2"), chunk);
      Closeness.assertNmse("prompt by " + chunk, pieces.get(0), exact, 1e-6);
      Closeness.assertNmse("answers by " + chunk, answers(pieces), answers(whole), 1e-5);
    }
  }
}

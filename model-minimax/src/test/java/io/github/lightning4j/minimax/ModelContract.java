package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the model must give on every golden case, whatever implements the operators. */
abstract class ModelContract {
  abstract Backend backend();

  static List<ModelFixture> fixtures() {
    return ModelFixture.all();
  }

  MiniMaxModel load(ModelFixture fixture) {
    return MiniMaxModel.load(fixture.folder(), LoadOptions.DEFAULT.withBackend(backend()));
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void everySequenceGivesTheStatedInside(ModelFixture fixture) {
    try (MiniMaxModel model = load(fixture);
        SafetensorsFile golden = fixture.openGolden()) {
      for (String sequence : ModelFixture.sequences(golden)) {
        try (Session session = model.newSession()) {
          new SequenceCheck(fixture, golden, sequence).run(session);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void greedyTokensAndStepLogitsAreEqual(ModelFixture fixture) {
    try (MiniMaxModel model = load(fixture);
        SafetensorsFile golden = fixture.openGolden();
        Session session = model.newSession()) {
      int[] prompt = ints(golden, "gen.prompt_ids");
      int[] expected = ints(golden, "gen.ids");
      double[] steps =
          golden.names().contains("gen.step_logits")
              ? golden.tensor("gen.step_logits").toDoubles()
              : new double[0];
      session.prefill(prompt);
      for (int i = 0; i < expected.length; i++) {
        if (steps.length > 0) {
          int v = model.config().vocabSize();
          Closeness.assertWithin(
              "step " + i,
              widen(session.logits()),
              Arrays.copyOfRange(steps, i * v, (i + 1) * v),
              fixture.tolerance("gen.step_logits"));
        }
        int next = new Sampler(GenerationOptions.GREEDY).sample(session.logits());
        assertThat(next).as("token %s", i).isEqualTo(expected[i]);
        session.decode(next);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void paddedBatchesGiveWhatEachRowGivesAlone(ModelFixture fixture) {
    try (MiniMaxModel model = load(fixture);
        SafetensorsFile golden = fixture.openGolden()) {
      if (!golden.names().contains("pad.input_ids")) {
        assertThat(golden.names())
            .as("only the orig truth has no batch")
            .doesNotContain("pad.logits");
        return;
      }
      Tensor ids = golden.tensor("pad.input_ids");
      Tensor mask = golden.tensor("pad.attention_mask");
      for (int row = 0; row < ids.size(0); row++) {
        long[] all = ids.select(0, row).toLongs();
        int pads = (int) Arrays.stream(mask.select(0, row).toLongs()).filter(m -> m == 0).count();
        int[] tokens = Arrays.stream(all).skip(pads).mapToInt(id -> (int) id).toArray();
        Tensor expected = golden.tensor("pad.logits").select(0, row).narrow(0, pads, tokens.length);
        try (Session session = model.newSession();
            MemoryScope scope = new MemoryScope()) {
          Tensor logits = scope.allocate(DType.F32, tokens.length, model.config().vocabSize());
          session.forward(tokens, ForwardObserver.NONE, logits);
          Closeness.assertWithin(
              "row " + row,
              logits.toDoubles(),
              expected.toDoubles(),
              fixture.tolerance("pad.logits"));
          assertThat(greedy(session, 8))
              .isEqualTo(
                  Arrays.stream(golden.tensor("pad.gen_ids").select(0, row).toLongs())
                      .mapToInt(id -> (int) id)
                      .toArray());
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void chunksOfAnySizeGiveTheSameLogits(ModelFixture fixture) {
    try (MiniMaxModel model = load(fixture);
        SafetensorsFile golden = fixture.openGolden()) {
      int[] tokens = ints(golden, "gen.prompt_ids");
      double[] whole = chunked(model, tokens, tokens.length);
      double scale = Arrays.stream(whole).map(Math::abs).max().orElseThrow();
      for (int chunk : new int[] {1, 7, 64}) {
        Closeness.assertWithin(
            "chunk " + chunk, chunked(model, tokens, chunk), whole, 1e-4 * scale);
      }
    }
  }

  private static double[] chunked(MiniMaxModel model, int[] tokens, int chunk) {
    try (Session session = model.newSession();
        MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, tokens.length, model.config().vocabSize());
      for (int from = 0; from < tokens.length; from += chunk) {
        int[] part = Arrays.copyOfRange(tokens, from, Math.min(tokens.length, from + chunk));
        session.forward(part, ForwardObserver.NONE, logits.narrow(0, from, part.length));
      }
      return logits.toDoubles();
    }
  }

  static int[] greedy(Session session, int count) {
    int[] ids = new int[count];
    for (int i = 0; i < count; i++) {
      ids[i] = new Sampler(GenerationOptions.GREEDY).sample(session.logits());
      session.decode(ids[i]);
    }
    return ids;
  }

  static int[] ints(SafetensorsFile golden, String name) {
    return Arrays.stream(golden.tensor(name).toLongs()).mapToInt(Math::toIntExact).toArray();
  }

  static double[] widen(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }
}

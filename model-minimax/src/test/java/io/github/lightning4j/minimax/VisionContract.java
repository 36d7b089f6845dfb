package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.minimax.internal.Operators;
import io.github.lightning4j.minimax.vision.ImageTiles;
import io.github.lightning4j.minimax.vision.RgbImage;
import io.github.lightning4j.minimax.vision.VisionConfig;
import io.github.lightning4j.minimax.vision.internal.ImageEncoder;
import io.github.lightning4j.minimax.vision.internal.TileObserver;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a model with pictures must give on every golden case, whatever implements the operators. */
abstract class VisionContract {
  @TempDir Path temp;

  abstract Backend backend();

  static List<VisionFixture> fixtures() {
    return VisionFixture.all();
  }

  private MiniMaxModel load(Path folder) {
    return MiniMaxModel.load(folder, LoadOptions.DEFAULT.withBackend(backend()));
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void towerProjectorAndPackingGiveTheStatedRows(VisionFixture fixture) {
    try (Checkpoint checkpoint = Checkpoint.open(fixture.folder());
        SafetensorsFile golden = fixture.openGolden()) {
      VisionConfig config = checkpoint.vision().orElseThrow();
      ImageEncoder encoder =
          new ImageEncoder(
              config, checkpoint.visionWeights().orElseThrow(), Operators.of(backend()));
      List<RgbImage> images = fixture.images();
      for (int i = 0; i < images.size(); i++) {
        ImageTiles tiles = config.preprocessor().tiles(images.get(i));
        String prefix = fixture.prompt() + ".image" + i + ".";
        Inside inside = new Inside(fixture, golden, prefix);
        try (Tensor rows =
            Tensor.allocate(DType.F32, tiles.layout().tokens(), checkpoint.config().hiddenSize())) {
          encoder.encode(tiles, inside, rows);
          inside.check("packed", rows, golden.tensor(prefix + "packed"));
        }
        assertThat(inside.tiles).isEqualTo(tiles.layout().tiles());
      }
    }
  }

  /** Holds the inside of the tower against the golden data. */
  private static final class Inside implements TileObserver {
    private final VisionFixture fixture;
    private final SafetensorsFile golden;
    private final String prefix;
    private int tiles;

    Inside(VisionFixture fixture, SafetensorsFile golden, String prefix) {
      this.fixture = fixture;
      this.golden = golden;
      this.prefix = prefix;
    }

    @Override
    public void hidden(int tile, int layer, Tensor stream) {
      String name = prefix + "tile0_hidden";
      if (tile == 0 && golden.names().contains(name)) {
        check("vision_hidden", stream, golden.tensor(name).select(0, layer));
      }
    }

    @Override
    public void projected(int tile, Tensor features, Tensor projected) {
      check("features", features, golden.tensor(prefix + "features").select(0, tile));
      check("projected", projected, golden.tensor(prefix + "projected").select(0, tile));
      tiles++;
    }

    private void check(String kind, Tensor actual, Tensor expected) {
      Closeness.assertWithin(
          prefix + kind, actual.toDoubles(), expected.toDoubles(), fixture.tolerance(kind));
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void embeddingsExpertsAndLogitsAreTheStatedOnes(VisionFixture fixture) {
    try (MiniMaxModel model = load(fixture.folder());
        SafetensorsFile golden = fixture.openGolden();
        MemoryScope scope = new MemoryScope();
        ImagePrompt prompt =
            model.imagePrompt(fixture.ids(golden, "prompt_ids"), fixture.images());
        Session session = model.newSession()) {
      assertThat(prompt.ids()).isEqualTo(fixture.ids(golden, "input_ids"));
      Tensor logits = scope.allocate(DType.F32, prompt.length(), model.config().vocabSize());
      session.forward(prompt, new Outside(fixture, golden), logits);
      Closeness.assertWithin(
          "logits",
          logits.toDoubles(),
          golden.tensor(fixture.prompt() + ".logits").toDoubles(),
          fixture.tolerance("logits"));
    }
  }

  /** Holds embeddings and chosen experts against the golden data. */
  private record Outside(VisionFixture fixture, SafetensorsFile golden) implements ForwardObserver {
    @Override
    public void hidden(int layer, Tensor stream) {
      if (layer == 0) {
        Closeness.assertWithin(
            "embeddings",
            stream.toDoubles(),
            golden.tensor(fixture.prompt() + ".inputs_embeds").toDoubles(),
            fixture.tolerance("inputs_embeds"));
      }
    }

    @Override
    public void router(int layer, Tensor logits, Tensor index, Tensor weight) {
      Tensor expected = golden.tensor(fixture.prompt() + ".topk_index").select(0, layer);
      for (long row = 0; row < index.size(0); row++) {
        assertThat(set(index.select(0, row)))
            .as("layer %s, token %s", layer, row)
            .isEqualTo(set(expected.select(0, row)));
      }
    }

    private static Set<Long> set(Tensor row) {
      Set<Long> set = new TreeSet<>();
      for (long id : row.toLongs()) {
        set.add(id);
      }
      return set;
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void greedyTokensAreTheStatedOnesHoweverThePromptIsCut(VisionFixture fixture) {
    try (SafetensorsFile golden = fixture.openGolden()) {
      int[] expected = fixture.ids(golden, "gen_ids");
      GenerationOptions options = GenerationOptions.builder().maxNewTokens(expected.length).build();
      for (int chunk : new int[] {1, 7, 64, 512}) {
        LoadOptions cut = LoadOptions.DEFAULT.withBackend(backend()).withPrefillChunk(chunk);
        try (MiniMaxModel model = MiniMaxModel.load(fixture.folder(), cut);
            ImagePrompt prompt =
                model.imagePrompt(fixture.ids(golden, "prompt_ids"), fixture.images());
            Session session = model.newSession()) {
          session.prefill(prompt, ProgressListener.NONE);
          assertThat(ModelContract.greedy(session, expected.length)).isEqualTo(expected);
          assertThat(new Generator(model).generate(prompt, options, GenerationListener.NONE).ids())
              .containsExactly(Arrays.stream(expected).boxed().toArray(Integer[]::new));
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void featuresMayBeTakenFromAnEarlierLayer(VisionFixture fixture) {
    Path folder =
        fixture.changed(
            temp.resolve(fixture.toString()),
            "config.json",
            text -> text.replace("\"vision_feature_layer\": -1", "\"vision_feature_layer\": -2"));
    try (Checkpoint checkpoint = Checkpoint.open(folder);
        SafetensorsFile golden = fixture.openGolden()) {
      VisionConfig config = checkpoint.vision().orElseThrow();
      ImageTiles tiles = config.preprocessor().tiles(fixture.images().get(0));
      Tensor hidden = golden.tensor(fixture.prompt() + ".image0.tile0_hidden");
      Tensor last = hidden.select(0, hidden.size(0) - 2);
      ImageEncoder encoder =
          new ImageEncoder(
              config, checkpoint.visionWeights().orElseThrow(), Operators.of(backend()));
      TileObserver check =
          new TileObserver() {
            @Override
            public void projected(int tile, Tensor features, Tensor projected) {
              if (tile == 0) {
                Closeness.assertWithin(
                    "features",
                    features.toDoubles(),
                    last.narrow(0, 1, last.size(0) - 1).toDoubles(),
                    fixture.tolerance("vision_hidden"));
              }
            }
          };
      try (Tensor rows =
          Tensor.allocate(DType.F32, tiles.layout().tokens(), checkpoint.config().hiddenSize())) {
        encoder.encode(tiles, check, rows);
      }
    }
  }
}

package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.minimax.SessionGroup.Reading;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.comm.ThreadCommunicator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A model whose experts two GPUs share, against the same model on one; ranks are threads. */
@RequiresCuda
@Timeout(300)
final class ExpertRanksDeviceTest {
  /** Sums over ranks in another order, which now and then are rounded to the other side. */
  private static final double BOUND = 1e-4;

  @TempDir private static Path folder;

  @BeforeAll
  static void needsTwoGpus() {
    RankScene.needsTwoGpus();
    SmallCheckpoint.write(folder.resolve("single"), false);
    SmallCheckpoint.write(folder.resolve("fused"), true);
  }

  private static MiniMaxModel load(LoadOptions options) {
    return MiniMaxModel.load(folder.resolve("single"), options);
  }

  /**
   * What a program saw, step by step.
   *
   * @param guesses whether it goes on with guessed tokens, else with a group
   */
  private static List<float[]> program(MiniMaxModel model, boolean guesses) {
    List<float[]> seen = new ArrayList<>();
    try (Session a = model.newSession();
        Session b = model.newSession();
        Tensor all = Tensor.allocate(DType.F32, 3, model.config().vocabSize())) {
      seen.add(a.prefill(RankScene.ids(1, 17)).clone());
      for (int id : RankScene.ids(2, 3)) { // as it is, recorded, from the graph
        seen.add(a.decode(id).clone());
      }
      if (guesses) {
        guess(a, seen);
        return seen;
      }
      b.prefill(RankScene.ids(3, 2));
      Session.prefill(List.of(a, b), List.of(RankScene.ids(4, 1), RankScene.ids(5, 5)));
      Session.decode(List.of(b, a), new int[] {7, 8});
      seen.add(a.logits().clone());
      seen.add(b.logits().clone());
      b.forward(RankScene.ids(6, 3), ForwardObserver.NONE, all);
      seen.add(toFloats(all.toDoubles()));
    }
    return seen;
  }

  /** Two of three drafted tokens are right; then a token from the graph. */
  private static void guess(Session session, List<float[]> seen) {
    try (Drafts drafts = session.model().newDrafts()) {
      RankScene.read(session, RankScene.ids(3, 3), Reading.TEXT, drafts);
      for (int i = 0; i < 3; i++) {
        seen.add(drafts.logits(i).clone());
      }
      session.commit(drafts, 2);
      seen.add(session.decode(9).clone());
    }
  }

  private static float[] toFloats(double[] values) {
    float[] all = new float[values.length];
    IntStream.range(0, all.length).forEach(i -> all[i] = (float) values[i]);
    return all;
  }

  private static double[] doubles(float[] values) {
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }

  @ParameterizedTest
  @CsvSource({"single, bf16, bf16", "fused, experts=int4, kv2"})
  void seesWhatOneGpuSees(String layout, String format, String caches) {
    WeightFormats weights = WeightFormats.parse(format);
    Path from = folder.resolve(layout);
    boolean guesses = caches.equals("kv2");
    KvCacheFormat cache = guesses ? RankScene.QUANTIZED : KvCacheFormat.of(caches);
    UnaryOperator<LoadOptions> held = as -> as.withWeights(weights).withCacheFormat(cache);
    List<float[]> alone;
    long bytesAlone;
    long before = CudaMemory.liveBytes();
    try (MiniMaxModel model = MiniMaxModel.load(from, held.apply(RankScene.gpu(0)))) {
      bytesAlone = CudaMemory.liveBytes() - before;
      alone = program(model, guesses);
    }
    List<List<float[]>> seen = new ArrayList<>(List.of(List.of(), List.of()));
    long host = Memory.liveBytes();
    ThreadCommunicator.run(
        2,
        ranks -> {
          try (MiniMaxModel model = MiniMaxModel.load(from, held.apply(RankScene.share(ranks)))) {
            ranks.barrier();
            assertThat(CudaMemory.liveBytes() - before).isLessThan(2 * bytesAlone);
            ranks.barrier();
            seen.set(ranks.rank(), program(model, guesses));
          }
        });
    for (int i = 0; i < alone.size(); i++) {
      Closeness.assertNmse("call " + i, doubles(seen.get(0).get(i)), doubles(alone.get(i)), BOUND);
      assertThat(seen.get(1).get(i)).as("call %s", i).isEqualTo(seen.get(0).get(i));
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
    assertThat(Memory.liveBytes()).isEqualTo(host);
  }

  @Test
  void refusesRanksThatLoadOtherwise() {
    ThreadCommunicator.run(
        2,
        ranks ->
            assertThatThrownBy(
                    () -> load(RankScene.share(ranks).withPrefillChunk(12 + ranks.rank())))
                .isInstanceOf(RankMismatchException.class)
                .hasMessageContaining("how the model is loaded differs")
                .hasMessageContaining("chunks of 13"));
    ThreadCommunicator.run(
        2,
        ranks -> {
          WeightFormats weights = WeightFormats.parse(ranks.rank() == 0 ? "bf16" : "int8");
          assertThatThrownBy(() -> load(RankScene.share(ranks).withWeights(weights)))
              .isInstanceOf(RankMismatchException.class)
              .hasMessageContaining("the checkpoint differs");
        });
  }

  @Test
  void refusesWhatOneGpuIsMissingFor() {
    int gpus = CudaDevice.count();
    assumeTrue(gpus < 5, "a GPU for each expert");
    long before = CudaMemory.liveBytes();
    assertThatThrownBy(
            () -> ThreadCommunicator.run(gpus + 1, ranks -> load(RankScene.share(ranks)).close()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("got cuda:" + gpus);
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
    assertThatThrownBy(() -> LoadOptions.DEFAULT.withRanks(ThreadCommunicator.group(1).get(0)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("over GPUs only");
  }

  @Test
  void refusesWhatEachRankWouldDoOtherwise() {
    ThreadCommunicator.run(
        1,
        ranks -> {
          try (MiniMaxModel model = load(RankScene.share(ranks))) {
            assertThatThrownBy(() -> new Generator(model).queue(BatchLimits.DEFAULT))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("depends on time");
            assertThatThrownBy(() -> new PrefixCache(model, 1 << 20, 64))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("the memory of one rank");
          }
        });
  }
}

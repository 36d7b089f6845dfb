package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.minimax.SessionGroup.Reading;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.TokenBatch;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.NcclCommunicator;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.comm.ThreadCommunicator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.BiConsumer;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
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
  private static final PageBudget BUDGET = PageBudget.ofBytes(1 << 16);

  /** Sums over ranks in another order, which now and then are rounded to the other side. */
  private static final double BOUND = 1e-4;

  /** Two bits behind a window of three tokens. */
  private static final KvCacheFormat QUANTIZED =
      KvCacheFormat.of("kv2")
          .withTokens(TokenPolicy.NONE.withFirstTokens(1).withRecentWindow(3, 1));

  @TempDir private static Path folder;

  @BeforeAll
  static void needsTwoGpus() {
    assumeTrue(CudaDevice.count() >= 2, "one GPU");
    assumeTrue(
        NcclCommunicator.availability().isAvailable(),
        () -> NcclCommunicator.availability().reason());
    SmallCheckpoint.write(folder.resolve("single"), false);
    SmallCheckpoint.write(folder.resolve("fused"), true);
  }

  private static MiniMaxModel load(LoadOptions options) {
    return MiniMaxModel.load(folder.resolve("single"), options);
  }

  private static LoadOptions gpu(int index) {
    return LoadOptions.DEFAULT
        .withDevice(Device.cuda(index))
        .withCacheBudget(BUDGET)
        .withPrefillChunk(12);
  }

  private static LoadOptions share(Communicator ranks) {
    return gpu(ranks.rank()).withRanks(ranks);
  }

  private static int[] ids(long seed, int count) {
    return new Random(seed).ints(count, 3, 90).toArray();
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
      seen.add(a.prefill(ids(1, 17)).clone());
      for (int id : ids(2, 3)) { // as it is, recorded, from the graph
        seen.add(a.decode(id).clone());
      }
      if (guesses) {
        guess(a, seen);
        return seen;
      }
      b.prefill(ids(3, 2));
      Session.prefill(List.of(a, b), List.of(ids(4, 1), ids(5, 5)));
      Session.decode(List.of(b, a), new int[] {7, 8});
      seen.add(a.logits().clone());
      seen.add(b.logits().clone());
      b.forward(ids(6, 3), ForwardObserver.NONE, all);
      seen.add(toFloats(all.toDoubles()));
    }
    return seen;
  }

  /** Two of three drafted tokens are right; then a token from the graph. */
  private static void guess(Session session, List<float[]> seen) {
    try (Drafts drafts = session.model().newDrafts()) {
      read(session, ids(3, 3), Reading.TEXT, drafts);
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
    KvCacheFormat cache = guesses ? QUANTIZED : KvCacheFormat.of(caches);
    UnaryOperator<LoadOptions> held = as -> as.withWeights(weights).withCacheFormat(cache);
    List<float[]> alone;
    long bytesAlone;
    long before = CudaMemory.liveBytes();
    try (MiniMaxModel model = MiniMaxModel.load(from, held.apply(gpu(0)))) {
      bytesAlone = CudaMemory.liveBytes() - before;
      alone = program(model, guesses);
    }
    List<List<float[]>> seen = new ArrayList<>(List.of(List.of(), List.of()));
    long host = Memory.liveBytes();
    ThreadCommunicator.run(
        2,
        ranks -> {
          try (MiniMaxModel model = MiniMaxModel.load(from, held.apply(share(ranks)))) {
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
  void endsOnAllRanksWhereOneReadsSomethingElse() {
    for (boolean recorded : new boolean[] {false, true}) {
      List<Throwable> thrown = Collections.synchronizedList(new ArrayList<>());
      ThreadCommunicator.run(
          2,
          ranks -> {
            Path file = folder.resolve("rank" + ranks.rank());
            try (MiniMaxModel model = load(share(ranks));
                Session other = model.newSession();
                Session session = model.newSession()) {
              other.prefill(ids(2, 4));
              session.prefill(ids(1, 4));
              for (int i = 0; recorded && i < 3; i++) {
                session.decode(5);
              }
              assertThatThrownBy(() -> session.decode(6 + ranks.rank()))
                  .satisfies(thrown::add)
                  .isInstanceOf(RankMismatchException.class)
                  .hasMessageContaining("what a step reads differs: rank 0 'step")
                  .hasMessageContaining("1 tokens of 1 sequences");
              byte[] before = written(other, file);
              TokenBatch batch = TokenBatch.of(other.state(), new int[] {7});
              assertThatThrownBy(() -> other.step(batch, List.of(other.logits())))
                  .isInstanceOf(IllegalStateException.class)
                  .hasMessageContaining("load it again, on all ranks");
              assertThat(written(other, file)).isEqualTo(before);
            }
          });
      assertThat(thrown).hasSize(2);
      assertThat(thrown.get(0)).hasMessage(thrown.get(1).getMessage());
    }
  }

  private static byte[] written(Session session, Path file) throws IOException {
    session.snapshot(file);
    return Files.readAllBytes(file);
  }

  @Test
  void endsOnAllRanksWhereOneWantsOtherLogits() {
    int[] ids = ids(1, 3);
    List<BiConsumer<Session, Drafts>> calls = new ArrayList<>();
    calls.add((session, drafts) -> read(session, ids, Reading.TEXT, null));
    calls.add((session, drafts) -> read(session, ids, Reading.TEXT, drafts));
    calls.add(
        (session, drafts) -> {
          try (Tensor all = Tensor.allocate(DType.F32, 3, SmallCheckpoint.VOCABULARY)) {
            session.forward(ids, ForwardObserver.NONE, all);
          }
        });
    for (int other = 1; other < calls.size(); other++) {
      List<BiConsumer<Session, Drafts>> pair = List.of(calls.get(0), calls.get(other));
      ThreadCommunicator.run(
          2,
          ranks -> {
            try (MiniMaxModel model = load(share(ranks).withCacheFormat(QUANTIZED));
                Session session = model.newSession();
                Drafts drafts = model.newDrafts()) {
              assertThatThrownBy(() -> pair.get(ranks.rank()).accept(session, drafts))
                  .isInstanceOf(RankMismatchException.class)
                  .hasMessageContaining("3 tokens of 1 sequences, logits of 1")
                  .hasMessageContaining("3 tokens of 1 sequences, logits of 3");
            }
          });
    }
  }

  private static void read(Session session, int[] ids, Reading reading, @Nullable Drafts drafts) {
    SessionGroup.run(List.of(new SessionGroup.Turn(session, ids, reading, drafts)));
  }

  @Test
  void endsOnAllRanksWhereOneFails() {
    List<Throwable> told = Collections.synchronizedList(new ArrayList<>());
    assertThatThrownBy(
            () ->
                ThreadCommunicator.run(
                    2,
                    ranks -> {
                      try (MiniMaxModel model = load(share(ranks));
                          Session session = model.newSession()) {
                        session.prefill(ids(1, 4));
                        if (ranks.rank() == 1) {
                          throw new IllegalStateException("out of luck");
                        }
                        assertThatThrownBy(() -> session.decode(6)).satisfies(told::add);
                      }
                    }))
        .hasMessage("out of luck");
    assertThat(told)
        .singleElement()
        .isInstanceOf(RankFailedException.class)
        .asString()
        .contains("rank 1 of 2 failed", "out of luck");
  }

  @Test
  void endsOnAllRanksWhereOneCannotGoBehindItsGuesses() {
    Throwable[] thrown = new Throwable[2];
    ThreadCommunicator.run(
        2,
        ranks -> {
          try (MiniMaxModel model = load(share(ranks));
              Session session = model.newSession()) {
            Drafts drafts = model.newDrafts();
            read(session, ids(1, 3), Reading.TEXT, drafts);
            if (ranks.rank() == 1) {
              drafts.close();
              thrown[1] = catchThrowable(() -> session.commit(drafts, 1));
            } else {
              session.commit(drafts, 1);
              drafts.close();
              thrown[0] = catchThrowable(() -> session.decode(6));
            }
          }
        });
    assertThat(thrown[1]).isInstanceOf(IllegalStateException.class);
    assertThat(thrown[0])
        .isInstanceOf(RankFailedException.class)
        .hasMessageContaining(thrown[1].getMessage());
  }

  @Test
  void endsOnAllRanksWhereOneHasNoRoom() {
    long before = CudaMemory.liveBytes();
    try (MemoryScope most = new MemoryScope()) {
      fill(CudaDevice.of(1), most);
      assertThatThrownBy(() -> ThreadCommunicator.run(2, ranks -> load(share(ranks)).close()))
          .isNotInstanceOf(RankFailedException.class)
          .satisfies(
              failure ->
                  assertThat(failure.getSuppressed())
                      .singleElement()
                      .isInstanceOf(RankFailedException.class)
                      .asString()
                      .contains("rank 1 of 2 failed", failure.getMessage()));
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  /** Takes memory until there is none for a matrix. */
  private static void fill(CudaDevice device, MemoryScope scope) {
    for (long bytes = device.freeMemory(); bytes >= 1024; ) {
      try {
        scope.add(CudaMemory.allocate(device, bytes));
      } catch (CudaOutOfMemoryException e) {
        bytes /= 2;
      }
      bytes = Math.min(bytes, device.freeMemory());
    }
  }

  @Test
  void refusesRanksThatLoadOtherwise() {
    ThreadCommunicator.run(
        2,
        ranks ->
            assertThatThrownBy(() -> load(share(ranks).withPrefillChunk(12 + ranks.rank())))
                .isInstanceOf(RankMismatchException.class)
                .hasMessageContaining("how the model is loaded differs")
                .hasMessageContaining("chunks of 13"));
    ThreadCommunicator.run(
        2,
        ranks -> {
          WeightFormats weights = WeightFormats.parse(ranks.rank() == 0 ? "bf16" : "int8");
          assertThatThrownBy(() -> load(share(ranks).withWeights(weights)))
              .isInstanceOf(RankMismatchException.class)
              .hasMessageContaining("the checkpoint differs");
        });
  }

  @Test
  void refusesWhatOneGpuIsMissingFor() {
    int gpus = CudaDevice.count();
    assumeTrue(gpus < 5, "a GPU for each expert");
    long before = CudaMemory.liveBytes();
    assertThatThrownBy(() -> ThreadCommunicator.run(gpus + 1, ranks -> load(share(ranks)).close()))
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
          try (MiniMaxModel model = load(share(ranks))) {
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

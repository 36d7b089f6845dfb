package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.minimax.SessionGroup.Reading;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.minimax.internal.TokenBatch;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.comm.ThreadCommunicator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Ranks that share experts out, of which one fails or does something else: all are told. */
@RequiresCuda
@Timeout(300)
final class ExpertRankFaultsDeviceTest {
  @TempDir private static Path folder;

  @BeforeAll
  static void needsTwoGpus() {
    RankScene.needsTwoGpus();
    SmallCheckpoint.write(folder.resolve("single"), false);
  }

  private static MiniMaxModel load(LoadOptions options) {
    return MiniMaxModel.load(folder.resolve("single"), options);
  }

  @Test
  void endsOnAllRanksWhereOneReadsSomethingElse() {
    for (boolean recorded : new boolean[] {false, true}) {
      List<Throwable> thrown = Collections.synchronizedList(new ArrayList<>());
      ThreadCommunicator.run(
          2,
          ranks -> {
            Path file = folder.resolve("rank" + ranks.rank());
            try (MiniMaxModel model = load(RankScene.share(ranks));
                Session other = model.newSession();
                Session session = model.newSession()) {
              other.prefill(RankScene.ids(2, 4));
              session.prefill(RankScene.ids(1, 4));
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
    int[] ids = RankScene.ids(1, 3);
    List<BiConsumer<Session, Drafts>> calls = new ArrayList<>();
    calls.add((session, drafts) -> RankScene.read(session, ids, Reading.TEXT, null));
    calls.add((session, drafts) -> RankScene.read(session, ids, Reading.TEXT, drafts));
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
            try (MiniMaxModel model =
                    load(RankScene.share(ranks).withCacheFormat(RankScene.QUANTIZED));
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

  @Test
  void endsOnAllRanksWhereOneFails() {
    List<Throwable> told = Collections.synchronizedList(new ArrayList<>());
    assertThatThrownBy(
            () ->
                ThreadCommunicator.run(
                    2,
                    ranks -> {
                      try (MiniMaxModel model = load(RankScene.share(ranks));
                          Session session = model.newSession()) {
                        session.prefill(RankScene.ids(1, 4));
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
          try (MiniMaxModel model = load(RankScene.share(ranks));
              Session session = model.newSession()) {
            Drafts drafts = model.newDrafts();
            RankScene.read(session, RankScene.ids(1, 3), Reading.TEXT, drafts);
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
      assertThatThrownBy(
              () -> ThreadCommunicator.run(2, ranks -> load(RankScene.share(ranks)).close()))
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
}

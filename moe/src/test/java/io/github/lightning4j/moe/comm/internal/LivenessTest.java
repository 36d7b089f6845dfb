package io.github.lightning4j.moe.comm.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.moe.comm.RankFailedException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two ranks that watch each other, here threads of one process, and strangers at the door. */
@Timeout(100)
final class LivenessTest {
  private static final int STRANGERS = 8;

  private final Roster[] rosters = {new Roster(2), new Roster(2)};
  private final List<CompletableFuture<String>> texts =
      List.of(new CompletableFuture<>(), new CompletableFuture<>());

  private CompletableFuture<Liveness> connect(int rank) {
    return CompletableFuture.supplyAsync(
        () ->
            Liveness.connect(
                rosters[rank],
                rank,
                2,
                (text, limit) -> {
                  texts.get(rank).complete(text);
                  return texts.stream().map(CompletableFuture::join).toList();
                }),
        task -> new Thread(task).start());
  }

  private static Socket knock(Meeting meeting) {
    try {
      return new Socket(InetAddress.getLoopbackAddress(), meeting.port());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void strangersDelayNobodyAndAreSentAway() throws Exception {
    CompletableFuture<Liveness> host = connect(0);
    Meeting meeting = Meeting.of(texts.get(0).get());
    List<Socket> strangers = new ArrayList<>();
    for (int i = 0; i < STRANGERS; i++) {
      strangers.add(knock(meeting)); // stays silent
    }
    Socket impostor = knock(meeting);
    impostor.getOutputStream().write(new byte[Meeting.HELLO]);
    strangers.add(impostor);

    CompletableFuture<Liveness> guest = connect(1);
    try (Liveness first = host.get();
        Liveness second = guest.get()) {
      for (Socket stranger : strangers) {
        assertThat(stranger.getInputStream().read()).isEqualTo(-1);
        stranger.close();
      }
      second.announce(Notice.left(Roster.WORLD, 4));
      while (!rosters[0].hasLeft(1)) {
        Thread.onSpinWait();
      }
      first.announce(Notice.left(Roster.WORLD, 4));
      while (!rosters[1].hasLeft(0)) {
        Thread.onSpinWait();
      }
      assertThat(rosters[0].failure()).isNull();
      assertThat(rosters[1].failure()).isNull();
      assertThatThrownBy(() -> knock(meeting)).hasMessageContaining("refused");
    }
  }

  @Test
  void aRankThatCannotBeReachedLeavesNothingBehind() throws Exception {
    String nowhere = "1 7 127.0.0.1";
    texts.get(0).complete(nowhere);
    assertThatThrownBy(() -> connect(1).get())
        .hasCauseInstanceOf(RankFailedException.class)
        .hasMessageContaining("rank 0 of 2 failed: it cannot be reached at port 1");
    assertThat(rosters[1].failure().rank()).isZero();
    Meeting own = Meeting.of(texts.get(1).get());
    assertThatThrownBy(() -> knock(own)).hasMessageContaining("refused");
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      if (thread.getName().equals("communicator-liveness-1")) {
        thread.join();
      }
    }
  }
}

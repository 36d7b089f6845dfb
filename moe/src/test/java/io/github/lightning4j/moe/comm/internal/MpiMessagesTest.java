package io.github.lightning4j.moe.comm.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.internal.Transport.Message;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What becomes of messages when MPI says no. */
@Timeout(60)
final class MpiMessagesTest {
  private final FakeMpi mpi = new FakeMpi();
  private final Roster roster = new Roster(3);
  private final MpiMessages messages = new MpiMessages(roster, mpi);

  /** Gives requests 100, 101, ... until told not to; no request ends but those it is told of. */
  private static final class FakeMpi implements MpiMessages.Calls {
    private final List<Long> tested = new ArrayList<>();
    private final List<Integer> sizes = new ArrayList<>();
    private int started;
    private int refusedFrom = Integer.MAX_VALUE;
    private long ended = -1;
    private long failing = -1;

    @Override
    public long send(long address, int bytes, int to, int tag) {
      sizes.add(bytes);
      return started < refusedFrom ? 100 + started++ : -1;
    }

    @Override
    public long receive(long address, int bytes, int from, int tag) {
      return send(address, bytes, from, tag);
    }

    @Override
    public int test(long request) {
      tested.add(request);
      if (request == failing) {
        return -1;
      }
      return request == ended ? 1 : 0;
    }

    @Override
    public String problem() {
      return "MPI_Any: no";
    }
  }

  @Test
  void aRequestThatHasEndedIsNotAskedAgain() {
    Message message = messages.send(0, 2 * MpiMessages.CHUNK + 5, 1, 0);
    assertThat(mpi.sizes).containsExactly(1 << 30, 1 << 30, 5);
    mpi.ended = 101;
    assertThat(message.isDone()).isFalse();
    assertThat(message.isDone()).isFalse();
    assertThat(mpi.tested).containsExactly(100L, 101L, 102L, 100L, 102L);
  }

  @Test
  void afterARefusalNothingIsAsked() {
    mpi.refusedFrom = 1;
    Message message = messages.receive(0, 3 * MpiMessages.CHUNK, 2, 0);
    assertThat(roster.failure()).isEqualTo(new Roster.Failure(2, "MPI_Any: no"));
    assertThat(mpi.sizes).hasSize(2);
    assertThat(message.isDone()).isFalse();
    assertThat(messages.send(0, 8, 1, 0).isDone()).isFalse();
    assertThat(mpi.sizes).hasSize(2);
    assertThat(mpi.tested).isEmpty();
  }

  @Test
  void afterARequestHasFailedNothingIsAsked() {
    Message first = messages.send(0, 8, 1, 0);
    Message failing = messages.send(0, 2 * MpiMessages.CHUNK, 2, 0);
    mpi.failing = 101;
    assertThat(first.isDone()).isFalse();
    assertThat(failing.isDone()).isFalse();
    mpi.ended = 100;
    assertThat(first.isDone()).isFalse();
    assertThat(failing.isDone()).isFalse();
    assertThat(mpi.tested).containsExactly(100L, 101L);
    assertThat(roster.failure()).isEqualTo(new Roster.Failure(2, "MPI_Any: no"));
  }

  @Test
  void aMessageThatAFailureElsewhereCutShortIsNeverDone() {
    roster.failed(1, "gone");
    assertThat(messages.receive(0, 8, 2, 0).isDone()).isFalse();
    assertThat(mpi.sizes).isEmpty();
  }

  @Test
  void anOperationEndsWithTheFailureAndTouchesNoRequestAfterIt() {
    mpi.failing = 102;
    Communicator world = Collectives.world(new FakeTransport(roster, messages));
    assertThatThrownBy(world::barrier)
        .isInstanceOf(RankFailedException.class)
        .hasMessageContaining("rank 2 of 3 failed: MPI_Any: no");
    assertThat(mpi.tested).endsWith(102L).doesNotContain(-1L, 103L);
    assertThatThrownBy(world::barrier).isInstanceOf(RankFailedException.class);
    world.close();
    assertThat(mpi.tested).endsWith(102L).containsOnlyOnce(102L);
  }

  /** Rank 0 of three, the others of which never answer. */
  private record FakeTransport(Roster roster, MpiMessages messages) implements Transport {
    @Override
    public int rank() {
      return 0;
    }

    @Override
    public int size() {
      return 3;
    }

    @Override
    public int maxTag() {
      return 9;
    }

    @Override
    public Message send(long address, long bytes, int to, int tag) {
      return messages.send(address, bytes, to, tag);
    }

    @Override
    public Message receive(long address, long bytes, int from, int tag) {
      return messages.receive(address, bytes, from, tag);
    }

    @Override
    public void announce(Notice notice) {}

    @Override
    public void abandon() {}

    @Override
    public void close(Runnable poll) {
      roster.awaitAllLeftBut(0, poll);
    }
  }
}

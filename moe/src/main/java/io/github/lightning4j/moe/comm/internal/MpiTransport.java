package io.github.lightning4j.moe.comm.internal;

import static com.google.common.base.Preconditions.checkState;

import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Messages over Open MPI. Data goes through MPI; who lives and who does not is watched besides it,
 * by {@link Liveness}, because MPI would wait for a dead rank for ever. Nothing here blocks inside
 * MPI but its start and its end, which run on a thread of their own and are waited for with a
 * limit.
 */
public final class MpiTransport implements Transport {
  private static final AtomicBoolean STARTED = new AtomicBoolean();
  private static final long START_SECONDS = 60;
  private static final long FINISH_SECONDS = 10;

  /** The most bytes of one MPI message, whose size is an int; a multiple of any element. */
  private static final long CHUNK = 1 << 30;

  private final ExecutorService starter =
      Executors.newSingleThreadExecutor(
          task -> {
            Thread thread = new Thread(task, "communicator-mpi");
            thread.setDaemon(true);
            return thread;
          });
  private final int rank;
  private final int size;
  private final int maxTag;
  private final Roster roster;
  private volatile @Nullable Liveness liveness;

  private MpiTransport() {
    await(starter.submit(MpiTransport::start), START_SECONDS, "MPI_Init");
    rank = MpiFunctions.rank();
    size = MpiFunctions.size();
    maxTag = MpiFunctions.maxTag();
    roster = new Roster(size);
  }

  /** Joins the world that {@code mpirun} has started; once in a process. */
  public static Collectives join() {
    return join(transport -> transport);
  }

  /**
   * As {@link #join()}, over a transport that stands on this one.
   *
   * @param over makes it
   */
  static Collectives join(UnaryOperator<Transport> over) {
    checkState(
        STARTED.compareAndSet(false, true),
        "MPI can be started once in a process; keep the communicator and split it");
    MpiTransport transport = new MpiTransport();
    Collectives world = Collectives.world(over.apply(transport));
    transport.liveness =
        Liveness.connect(transport.roster, transport.rank, transport.size, world::gatherTexts);
    world.open();
    return world;
  }

  private static void start() {
    if (MpiFunctions.start() != 0) {
      throw new IllegalStateException("Open MPI does not start: " + MpiFunctions.problem());
    }
  }

  private static void await(Future<?> future, long seconds, String what) {
    try {
      future.get(seconds, TimeUnit.SECONDS);
    } catch (TimeoutException e) {
      throw new IllegalStateException(
          what + " did not end within " + seconds + " s: a rank has not started or has died", e);
    } catch (ExecutionException e) {
      throw new IllegalStateException(e.getCause().getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(what + " was interrupted", e);
    }
  }

  /** The requests of one message that was cut into chunks. */
  private final class Chunks implements Message {
    private final int peer;
    private final List<Long> requests = new ArrayList<>(1);

    Chunks(int peer) {
      this.peer = peer;
    }

    @Override
    public boolean isDone() {
      requests.removeIf(this::test);
      return requests.isEmpty();
    }

    private boolean test(long request) {
      int state = MpiFunctions.test(request);
      if (state < 0) {
        roster.failed(peer, MpiFunctions.problem());
      }
      return state > 0;
    }

    void add(long request) {
      if (request == -1) {
        roster.failed(peer, MpiFunctions.problem());
      }
      requests.add(request);
    }
  }

  @Override
  public Message send(long address, long bytes, int to, int tag) {
    Chunks chunks = new Chunks(to);
    for (long at = 0; at < bytes && roster.failure() == null; at += CHUNK) {
      chunks.add(MpiFunctions.send(address + at, (int) Math.min(CHUNK, bytes - at), to, tag));
    }
    return chunks;
  }

  @Override
  public Message receive(long address, long bytes, int from, int tag) {
    Chunks chunks = new Chunks(from);
    for (long at = 0; at < bytes && roster.failure() == null; at += CHUNK) {
      chunks.add(MpiFunctions.receive(address + at, (int) Math.min(CHUNK, bytes - at), from, tag));
    }
    return chunks;
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public int maxTag() {
    return maxTag;
  }

  @Override
  public Roster roster() {
    return roster;
  }

  @Override
  public void announce(Notice notice) {
    Liveness connected = liveness;
    if (connected != null) {
      connected.announce(notice);
    }
  }

  @Override
  public void abandon() {
    // Nothing is called any more, and MPI writes to memory only when called.
  }

  /** Waits for the goodbye of all ranks, polling, as messages to them may still be under way. */
  @Override
  public void close(Runnable poll) {
    for (int round = 0; !roster.haveAllLeftBut(rank) && roster.failure() == null; round++) {
      poll.run();
      Idle.pause(round);
    }
    poll.run();
    if (roster.failure() == null) {
      try {
        await(starter.submit(MpiFunctions::finish), FINISH_SECONDS, "MPI_Finalize");
      } catch (IllegalStateException e) {
        System.getLogger(MpiTransport.class.getName()).log(Level.WARNING, e.getMessage());
      }
    }
    Liveness connected = liveness;
    if (connected != null) {
      connected.close();
    }
    starter.shutdown();
  }
}

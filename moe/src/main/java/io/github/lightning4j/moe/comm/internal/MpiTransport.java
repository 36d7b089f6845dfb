package io.github.lightning4j.moe.comm.internal;

import static com.google.common.base.Preconditions.checkState;

import java.lang.System.Logger.Level;
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
  private final MpiMessages messages;
  private volatile @Nullable Liveness liveness;

  private MpiTransport() {
    try {
      await(starter.submit(MpiTransport::start), START_SECONDS, "MPI_Init");
    } catch (IllegalStateException e) {
      starter.shutdown();
      throw e;
    }
    rank = MpiFunctions.rank();
    size = MpiFunctions.size();
    maxTag = MpiFunctions.maxTag();
    roster = new Roster(size);
    messages = new MpiMessages(roster, new Native());
  }

  /**
   * Joins the world that {@code mpirun} has started; once in a process, even if that fails, as MPI
   * starts but once.
   */
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
        "MPI can be started once in a process; keep the communicator and split it, or start the job"
            + " again if joining it failed");
    MpiTransport transport = new MpiTransport();
    Collectives world = Collectives.world(over.apply(transport));
    try {
      transport.liveness =
          Liveness.connect(transport.roster, transport.rank, transport.size, world::gatherTexts);
      world.open();
      return world;
    } catch (RuntimeException | Error e) {
      world.fail(e);
      world.close();
      throw e;
    }
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

  /** Open MPI itself. */
  private static final class Native implements MpiMessages.Calls {
    @Override
    public long send(long address, int bytes, int to, int tag) {
      return MpiFunctions.send(address, bytes, to, tag);
    }

    @Override
    public long receive(long address, int bytes, int from, int tag) {
      return MpiFunctions.receive(address, bytes, from, tag);
    }

    @Override
    public int test(long request) {
      return MpiFunctions.test(request);
    }

    @Override
    public String problem() {
      return MpiFunctions.problem();
    }
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
    roster.awaitAllLeftBut(rank, poll);
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

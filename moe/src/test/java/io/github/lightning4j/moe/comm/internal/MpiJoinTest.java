package io.github.lightning4j.moe.comm.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.MpiCommunicator;
import io.github.lightning4j.moe.comm.MpiJob;
import io.github.lightning4j.moe.comm.RankFailedException;
import java.io.IOException;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Joining a job: once, and when it fails the others know and nothing is left. */
final class MpiJoinTest {
  @BeforeEach
  void assumeMpi() {
    MpiJob.assume();
  }

  /** Joins twice. */
  static final class Twice {
    public static void main(String[] arguments) throws IOException {
      Communicator world = MpiCommunicator.world();
      sayWhyNotAgain();
      world.close();
      sayWhyNotAgain();
    }
  }

  private static void sayWhyNotAgain() throws IOException {
    try {
      MpiCommunicator.world();
    } catch (IllegalStateException e) {
      MpiJob.say("no: " + e.getMessage());
    }
  }

  @Test
  void aProcessJoinsOnce() {
    MpiJob.Result job = new MpiJob().run(1, Twice.class);
    String no = "no: MPI can be started once in a process; keep the communicator and split it";
    assertThat(job.output().lines().filter(line -> line.startsWith(no))).hasSize(2);
    job.assertExit(0, 0);
  }

  /** Joins, but the transport of rank 1 does not open. */
  static final class DoesNotOpen {
    public static void main(String[] arguments) throws Exception {
      MpiLibrary.availability().ensure("Open MPI");
      boolean fails = System.getenv("OMPI_COMM_WORLD_RANK").equals("1");
      try (Communicator world = MpiTransport.join(host -> fails ? new Unopened(host) : host)) {
        world.barrier();
      } catch (RankFailedException e) {
        MpiJob.say("rank 0 says: " + e.getMessage());
      } catch (IllegalStateException e) {
        MpiJob.say("rank 1 says: " + e.getMessage());
        sayWhyNotAgain();
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
          if (thread.getName().startsWith("communicator-")) {
            thread.join(); // a thread left behind would hang the job
          }
        }
      }
    }
  }

  @Test
  void aRankThatFailsToJoinTellsTheOthersAndLeavesNothing() {
    MpiJob.Result job = new MpiJob().with("--enable-recovery").run(2, DoesNotOpen.class);
    assertThat(job.output())
        .contains("rank 1 says: no device 7")
        .contains("no: MPI can be started once")
        .contains("rank 0 says: rank 1 of 2 failed: java.lang.IllegalStateException: no device 7");
    job.assertExit(0, 0);
    job.assertExit(1, 0);
  }

  private record Unopened(Transport host) implements Transport {
    @Override
    public void open(Group group, Function<String, List<String>> texts) {
      throw new IllegalStateException("no device 7");
    }

    @Override
    public int rank() {
      return host.rank();
    }

    @Override
    public int size() {
      return host.size();
    }

    @Override
    public int maxTag() {
      return host.maxTag();
    }

    @Override
    public Roster roster() {
      return host.roster();
    }

    @Override
    public Message send(long address, long bytes, int to, int tag) {
      return host.send(address, bytes, to, tag);
    }

    @Override
    public Message receive(long address, long bytes, int from, int tag) {
      return host.receive(address, bytes, from, tag);
    }

    @Override
    public void announce(Notice notice) {
      host.announce(notice);
    }

    @Override
    public void abandon() {
      host.abandon();
    }

    @Override
    public void close(Runnable poll) {
      host.close(poll);
    }
  }
}

package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.moe.comm.MpiJob.Result;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Jobs of three processes whose middle one goes wrong: the others say so and end, within 30 s. That
 * bound is part of what is promised.
 */
final class MpiFailureTest {
  private static final String DIED = "its process ended without closing the communicator";

  private static final String GOES_WRONG = "rank 1 goes wrong, pid ";
  private static final long BOUND = 30_000_000_000L;

  private final Map<String, Long> seen = new LinkedHashMap<>();

  @BeforeEach
  void assumeMpi() {
    MpiJob.assume();
  }

  /** How rank 1 goes wrong. */
  private enum Fault {
    KILL,
    STOP,
    THROW,
    HALT,
    RETURN,
    CLOSE
  }

  /** What each rank does: a few exchanges, and then rank 1 goes wrong within the next. */
  static final class Faulty {
    public static void main(String[] arguments) throws Exception {
      Fault fault = Fault.valueOf(arguments[0]);
      try {
        if (fault == Fault.RETURN) {
          // This is a rank that forgets to close.
          exchange(MpiCommunicator.world(), fault);
        } else {
          MpiCommunicator.run(world -> exchange(world, fault));
        }
      } catch (RankFailedException e) {
        MpiJob.say("rank " + System.getenv("OMPI_COMM_WORLD_RANK") + " says: " + e.getMessage());
        throw e;
      }
    }

    private static void exchange(Communicator world, Fault fault) throws Exception {
      for (int i = 0; ; i++) {
        Rows rows = new Rows(world, DType.F32, 6144, 60);
        if (i == 3 && world.rank() == 1 && fault != Fault.KILL) {
          goWrong(fault);
          return;
        }
        PendingTransfer pending =
            world.allToAllAsync(rows.send, rows.rowsTo, rows.out, rows.rowsFrom);
        if (i == 3 && world.rank() == 1) {
          goWrong(fault);
        }
        pending.await();
        rows.assertArrived();
        rows.close();
      }
    }

    private static void goWrong(Fault fault) throws IOException, InterruptedException {
      MpiJob.say(GOES_WRONG + ProcessHandle.current().pid());
      switch (fault) {
        case KILL, STOP -> {
          long pid = ProcessHandle.current().pid();
          new ProcessBuilder("kill", "-" + fault, "" + pid).start().waitFor();
          Thread.sleep(60_000);
        }
        case THROW -> throw new IllegalArgumentException("expert 7: no weights");
        case HALT -> Runtime.getRuntime().halt(9);
        case RETURN, CLOSE -> {}
      }
    }
  }

  private static MpiJob job() {
    return new MpiJob().with("--enable-recovery");
  }

  /** Runs a job and notes when each line came. */
  private Result run(MpiJob job, Fault fault) {
    return run(job, fault, line -> {});
  }

  private Result run(MpiJob job, Fault fault, Consumer<String> line) {
    return job.run(
        3,
        text -> {
          seen.putIfAbsent(text, System.nanoTime());
          line.accept(text);
        },
        Faulty.class,
        fault.name());
  }

  private long timeOf(String start) {
    return seen.entrySet().stream()
        .filter(entry -> entry.getKey().startsWith(start))
        .mapToLong(Map.Entry::getValue)
        .findFirst()
        .orElseThrow();
  }

  private void assertOthersSay(Result job, String message) {
    assertThat(job.output())
        .contains("rank 0 says: rank 1 of 3 failed: " + message)
        .contains("rank 2 says: rank 1 of 3 failed: " + message);
    for (int rank : new int[] {0, 2}) {
      job.assertExit(rank, 1);
      assertThat(timeOf("rank " + rank + " exit 1") - timeOf(GOES_WRONG)).isBetween(0L, BOUND);
    }
  }

  @Test
  void killedRankIsNamedByTheOthers() {
    Result job = run(job(), Fault.KILL);
    assertOthersSay(job, DIED);
    job.assertExit(1, 137);
  }

  @Test
  void killedRankIsNamedByTheOthersOverTcp() {
    Result job = run(job().with("--mca", "btl", "tcp,self"), Fault.KILL);
    assertOthersSay(job, DIED);
    job.assertExit(1, 137);
  }

  @Test
  void rankThatEndsWithoutClosingIsNamed() {
    assertOthersSay(run(job(), Fault.HALT), DIED);
  }

  @Test
  void rankThatForgetsToCloseIsNamed() {
    Result job = run(job(), Fault.RETURN);
    assertOthersSay(job, DIED);
    job.assertExit(1, 0);
  }

  @Test
  void rankThatThrowsTellsWhy() {
    Result job = run(job(), Fault.THROW);
    assertOthersSay(job, "java.lang.IllegalArgumentException: expert 7: no weights");
    job.assertExit(1, 1);
  }

  @Test
  void rankThatClosesEarlyIsNamed() {
    Result job = run(job(), Fault.CLOSE);
    assertOthersSay(job, "it closed the communicator after 3 operations");
  }

  @Test
  void rankThatIsStoppedIsNamedAfterItsSilence() {
    Result job = runStopped(job().property("lightning4j.comm.silence", "5"));
    assertOthersSay(job, "it gave no sign of life for 5 s");
  }

  @Test
  void rankThatIsStoppedIsNamedInTimeByDefault() {
    assertOthersSay(runStopped(job()), "it gave no sign of life for 20 s");
  }

  /** Kills the stopped rank when the others have ended. */
  private Result runStopped(MpiJob job) {
    int[] ended = {0};
    return run(
        job,
        Fault.STOP,
        line -> {
          if (line.matches("rank [02] exit 1") && ++ended[0] == 2) {
            seen.keySet().stream()
                .filter(said -> said.startsWith(GOES_WRONG))
                .map(said -> Long.parseLong(said.substring(GOES_WRONG.length())))
                .flatMap(pid -> ProcessHandle.of(pid).stream())
                .forEach(ProcessHandle::destroyForcibly);
          }
        });
  }

  @Test
  void withoutRecoveryTheJobEndsAllTheSame() {
    Result job = new MpiJob().run(3, Faulty.class, "KILL");
    assertThat(job.status()).as(job.output()).isNotZero();
  }
}

package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.moe.comm.MpiJob.Result;
import java.io.IOException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Jobs of three processes whose middle one goes wrong: the others say so and end. */
final class MpiFailureTest {
  private static final String DIED = "its process ended without closing the communicator";

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
      switch (fault) {
        case KILL, STOP -> {
          long pid = ProcessHandle.current().pid();
          MpiJob.say("pid of rank 1: " + pid);
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

  private static void assertOthersSay(Result job, String message) {
    assertThat(job.output())
        .contains("rank 0 says: rank 1 of 3 failed: " + message)
        .contains("rank 2 says: rank 1 of 3 failed: " + message);
    job.assertExit(0, 1);
    job.assertExit(2, 1);
  }

  @Test
  void killedRankIsNamedByTheOthers() {
    Result job = job().run(3, Faulty.class, "KILL");
    assertOthersSay(job, DIED);
    job.assertExit(1, 137);
  }

  @Test
  void killedRankIsNamedByTheOthersOverTcp() {
    Result job = job().with("--mca", "btl", "tcp,self").run(3, Faulty.class, "KILL");
    assertOthersSay(job, DIED);
    job.assertExit(1, 137);
  }

  @Test
  void rankThatEndsWithoutClosingIsNamed() {
    assertOthersSay(job().run(3, Faulty.class, "HALT"), DIED);
  }

  @Test
  void rankThatForgetsToCloseIsNamed() {
    Result job = job().run(3, Faulty.class, "RETURN");
    assertOthersSay(job, DIED);
    job.assertExit(1, 0);
  }

  @Test
  void rankThatThrowsTellsWhy() {
    Result job = job().run(3, Faulty.class, "THROW");
    assertOthersSay(job, "java.lang.IllegalArgumentException: expert 7: no weights");
    job.assertExit(1, 1);
  }

  @Test
  void rankThatClosesEarlyIsNamed() {
    Result job = job().run(3, Faulty.class, "CLOSE");
    assertOthersSay(job, "it closed the communicator after 3 operations");
  }

  @Test
  void rankThatIsStoppedIsNamedAfterItsSilence() {
    StringBuilder pid = new StringBuilder();
    int[] ended = {0};
    Result job =
        job()
            .property("lightning4j.comm.silence", "5")
            .run(
                3,
                line -> {
                  if (line.startsWith("pid of rank 1: ")) {
                    pid.append(line.substring(15));
                  }
                  if (line.matches("rank [02] exit 1") && ++ended[0] == 2) {
                    ProcessHandle.of(Long.parseLong(pid.toString()))
                        .ifPresent(ProcessHandle::destroyForcibly);
                  }
                },
                Faulty.class,
                "STOP");
    assertOthersSay(job, "it gave no sign of life for 5 s");
  }

  @Test
  void withoutRecoveryTheJobEndsAllTheSame() {
    Result job = new MpiJob().run(3, Faulty.class, "KILL");
    assertThat(job.status()).as(job.output()).isNotZero();
  }
}

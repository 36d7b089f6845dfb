package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.testkit.ChildJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Processes that cannot join: the message says why, and what to do. */
final class MpiMissingTest {
  @BeforeEach
  void assumeNotLaunched() {
    Assumptions.assumeFalse(MpiCommunicator.isLaunched());
  }

  /** Joins, in a child. */
  public static void main(String[] arguments) {
    try (Communicator world = MpiCommunicator.world()) {
      System.out.println(world);
    } catch (IllegalStateException e) {
      System.out.println(e.getMessage());
    }
  }

  @Test
  void tellsHowToInstallOpenMpi(@TempDir Path folder) throws IOException {
    MpiJob.assumeLibrary();
    Files.createFile(folder.resolve("libmpi.so.40")); // found first, and no library
    Files.createFile(folder.resolve("libmpi.so"));
    ChildJvm child =
        new ChildJvm()
            .environment("OMPI_COMM_WORLD_SIZE", "2")
            .environment("LD_LIBRARY_PATH", folder.toString());
    assertThat(child.run(MpiMissingTest.class).output())
        .contains("Open MPI is not available: " + folder + "/libmpi.so")
        .contains(
            "; install Open MPI 3 or newer on every host (Debian: apt-get install openmpi-bin) and"
                + " let LD_LIBRARY_PATH name the folder of its libmpi.so.40");
  }

  @Test
  void refusesTheLauncherOfAnotherMpi() {
    assertThat(new ChildJvm().environment("PMI_SIZE", "4").run(MpiMissingTest.class).output())
        .contains(
            "this process was started by the launcher of another MPI; use the mpirun of Open MPI")
        .doesNotContain("rank 0");
  }
}

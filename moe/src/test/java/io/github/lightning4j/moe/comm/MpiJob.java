package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.kernel.NativeLibrary;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;

/** A job of JVMs started by mpirun, each of which tells its exit code. */
public final class MpiJob {
  private static final String LIBRARY =
      "/io/github/lightning4j/moe/comm/internal/linux-x86_64/libjnimoempi.so";

  /** mpirun knows "java" by name and changes its arguments; a shell also reports the exit code. */
  private static final String SHELL =
      "\"$@\"; code=$?; echo \"rank $OMPI_COMM_WORLD_RANK exit $code\"; exit $code";

  private static final FileOutputStream OUT = new FileOutputStream(FileDescriptor.out);

  private final List<String> flags = new ArrayList<>();
  private final List<String> options = new ArrayList<>();

  /** What the job wrote, both streams together, and the exit code of mpirun. */
  public record Result(int status, String output) {
    /** Asserts that a rank ended with this code. */
    public void assertExit(int rank, int code) {
      assertThat(output).contains("rank " + rank + " exit " + code);
    }

    /** Asserts that all of a job's ranks told that they passed a scenario, and ended well. */
    public void assertPassed(int size, Enum<?> scenario) {
      for (int rank = 0; rank < size; rank++) {
        assertThat(output).contains("rank " + rank + " passed " + scenario + "\n");
        assertExit(rank, 0);
      }
      assertThat(status).isZero();
    }
  }

  /** Writes a line by one call of the system, so that those of other ranks do not come between. */
  public static void say(String line) throws IOException {
    OUT.write((line + "\n").getBytes(StandardCharsets.UTF_8));
  }

  /** Skips where no native library was built. */
  static void assumeLibrary() {
    Assumptions.assumeTrue(
        MpiJob.class.getResource(LIBRARY) != null
            && !Boolean.getBoolean(NativeLibrary.REFERENCE_PROPERTY),
        "no native library was built");
  }

  /** Skips where there is no mpirun or no native library; one that was built must load. */
  public static void assume() {
    assumeLibrary();
    Assumptions.assumeTrue(
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(folder -> Files.isExecutable(Path.of(folder, "mpirun"))),
        "no mpirun: apt-get install openmpi-bin");
    assertThat(MpiCommunicator.availability().isAvailable())
        .as(MpiCommunicator.availability().toString())
        .isTrue();
  }

  /** Adds arguments of mpirun. */
  public MpiJob with(String... more) {
    flags.addAll(List.of(more));
    return this;
  }

  /** Sets a system property of the ranks. */
  public MpiJob property(String name, String value) {
    options.add("-D" + name + "=" + value);
    return this;
  }

  public Result run(int ranks, Class<?> main, String... arguments) {
    return run(ranks, line -> {}, main, arguments);
  }

  /** Runs the job; takes each line as it comes. A job that hangs is killed after two minutes. */
  public Result run(int ranks, Consumer<String> line, Class<?> main, String... arguments) {
    List<String> command = new ArrayList<>(List.of("mpirun", "-n", "" + ranks));
    command.addAll(List.of("--oversubscribe", "--bind-to", "none", "--allow-run-as-root"));
    command.addAll(flags);
    command.addAll(List.of("sh", "-c", SHELL, "sh"));
    command.add(System.getProperty("java.home") + "/bin/java");
    command.addAll(List.of("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
    command.addAll(options);
    command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
    command.addAll(List.of(arguments));
    try {
      Process job = new ProcessBuilder(command).redirectErrorStream(true).start();
      Thread killer = new Thread(() -> killIfItHangs(job));
      killer.setDaemon(true);
      killer.start();
      StringBuilder output = new StringBuilder();
      try (var reader = job.inputReader(StandardCharsets.UTF_8)) {
        for (String text = reader.readLine(); text != null; text = reader.readLine()) {
          output.append(text).append('\n');
          line.accept(text);
        }
      }
      return new Result(job.waitFor(), output.toString());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  private static void killIfItHangs(Process job) {
    try {
      if (!job.waitFor(2, TimeUnit.MINUTES)) {
        job.descendants().forEach(ProcessHandle::destroyForcibly);
        job.destroyForcibly();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}

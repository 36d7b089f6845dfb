package io.github.lightning4j.jmh.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script of the bundle, with a Java and a Python that only write down how they are called. */
final class RunGpuScriptTest {
  private static final String NOTE = "#!/bin/sh\nhere=$(dirname \"$0\")\n";

  /** Tells two classes; A loses the GPU twice, in a count kept as a file. */
  private static final String JAVA =
      NOTE
          + """
            here=$here/../..
            while [ "${1#io.github}" = "$1" ]; do shift; done
            echo "${1##*.} $2 $4" >>"$here/calls"
            case "${1##*.} $2 $4" in
              "DeviceTestRunner list "*) echo some.ADeviceTest; echo some.BDeviceTest ;;
              "DeviceTestRunner run some.ADeviceTest") echo x >>"$here/lost"; [ $(wc -l <"$here/lost") -gt 2 ] || exit 3 ;;
              "DeviceTestRunner summary "*) echo A: passed; [ ! -e "$here/red" ] ;;
              "DeviceBench "*) [ ! -e "$here/slow" ] || exit 1 ;;
              "DeviceReport "*) echo THE TABLE ;;
              "Minimax bench "*) echo "$*" >>"$here/slices"; echo LAYERS; [ "${10}" != kv2 ] || exit 124 ;;
            esac
            """;

  @TempDir private Path temp;
  private @Nullable String path;

  private record Run(int exit, String out) {}

  @BeforeEach
  void layOut() throws IOException {
    assumeTrue(Files.exists(Path.of("/bin/bash")), "no /bin/bash");
    Files.createDirectories(temp.resolve("runtime/bin"));
    Files.createDirectories(temp.resolve("libraries"));
    for (String name : List.of("libcuda.so.1", "libcudart.so.13", "libnvrtc.so.13")) {
      Files.createFile(temp.resolve("libraries").resolve(name));
    }
    Files.copy(Path.of("src/main/gpu/run-gpu.sh"), temp.resolve("run-gpu.sh"));
    program("runtime/bin/java", JAVA);
    program("python", NOTE + "[ $1 = -c ] || echo \"peers $*\" >>\"$here/calls\"\n");
  }

  private void program(String name, String text) throws IOException {
    Path file = temp.resolve(name);
    Files.writeString(file, text);
    assertThat(file.toFile().setExecutable(true)).isTrue();
  }

  private List<String> calls() throws IOException {
    return Files.readAllLines(temp.resolve("calls"));
  }

  /** In an environment without HOME or anything else, and mostly without PATH. */
  private Run run(String... arguments) throws Exception {
    List<String> command =
        new ArrayList<>(List.of("/bin/bash", temp.resolve("run-gpu.sh").toString()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().clear();
    builder.environment().put("LD_LIBRARY_PATH", temp.resolve("libraries").toString());
    if (path != null) {
      builder.environment().put("PATH", path);
    }
    builder.environment().put("PYTHON", temp.resolve("python").toString());
    Path out = temp.resolve("stdout");
    Process process = builder.redirectOutput(out.toFile()).start();
    try {
      assertThat(process.waitFor(120, TimeUnit.SECONDS)).as("ended").isTrue();
    } finally {
      process.destroyForcibly();
    }
    return new Run(process.exitValue(), Files.readString(out));
  }

  @Test
  void runsAllPartsAndGoesOnWhereTheGpuWasLost() throws Exception {
    Run run = run("--parts", "tests,bench,peers");
    assertThat(run.exit).as(run.out).isZero();
    assertThat(run.out).contains("THE TABLE").doesNotContain("FAILED");
    assertThat(Files.readString(temp.resolve("results/summary.txt"))).contains("THE TABLE");
    assertThat(calls().stream().map(call -> call.strip()).toList())
        .containsSubsequence(
            "DeviceTestRunner summary",
            "DeviceBench --results --rows",
            "DeviceReport --markdown " + temp.resolve("results/bench.jsonl"));
    assertThat(calls()).filteredOn(call -> call.endsWith("some.ADeviceTest")).hasSize(3);
    assertThat(calls()).filteredOn(call -> call.endsWith("some.BDeviceTest")).hasSize(1);
    assertThat(calls())
        .anyMatch(call -> call.startsWith("peers ") && call.endsWith("--device cuda"));
  }

  @Test
  void whatFailsIsToldAndTheRestRuns() throws Exception {
    Files.createFile(temp.resolve("slow"));
    Run slow = run("--parts", "bench");
    assertThat(slow.exit).isEqualTo(1);
    assertThat(slow.out).contains("FAILED: benchmarks: exit code 1; see bench.log", "THE TABLE");
    Files.delete(temp.resolve("slow"));
    Files.createFile(temp.resolve("red"));
    Run red = run("--parts", "tests,bench", "--tests", "BDevice", "--results", temp + "/elsewhere");
    assertThat(red.exit).isEqualTo(1);
    assertThat(red.out).contains("THE TABLE");
    assertThat(calls()).noneMatch(call -> call.endsWith("some.ADeviceTest"));
    assertThat(temp.resolve("elsewhere/summary.txt")).exists();
  }

  @Test
  void measuresLayersInEveryFormat() throws Exception {
    Run run = run("--parts", "slice");
    assertThat(run.exit).as(run.out).isZero();
    assertThat(run.out)
        .contains("LAYERS", "weights int8, keys and values kv2, contexts 262144: not done in ");
    assertThat(Files.readAllLines(temp.resolve("slices")))
        .hasSize(7)
        .allMatch(line -> line.contains(" bench --config m1-slice --device cuda:0 --weights "))
        .anyMatch(line -> line.contains("--weights bf16 --kv kv2 --prefill 1024,32768 "))
        .anyMatch(
            line ->
                line.contains("--weights bf16 --kv bf16 --prefill 262144 --repeats 1 --layers 8 "));
    Files.delete(temp.resolve("slices"));
    run("--parts", "slice", "--smoke");
    assertThat(Files.readAllLines(temp.resolve("slices")))
        .singleElement()
        .satisfies(line -> assertThat(line).contains("--layers 1 "));
  }

  @Test
  void tellsWhatTheSanitizerFinds() throws Exception {
    assumeTrue(
        !Files.exists(Path.of("/usr/local/cuda/bin/compute-sanitizer")), "this machine has it");
    assertThat(run("--parts", "sanitizer").exit).isZero();
    Path rows = temp.resolve("results/bench.jsonl");
    assertThat(Files.readAllLines(rows))
        .hasSize(2)
        .allMatch(line -> line.contains("compute-sanitizer not found"));
    program(
        "compute-sanitizer",
        "#!/bin/sh\nwhile [ \"${1%/java}\" = \"$1\" ]; do shift; done\nexec \"$@\"\n");
    path = temp + ":/usr/bin:/bin";
    Files.writeString(temp.resolve("lost"), "x\n"); // once more, so only the first tool meets it
    Run run = run("--parts", "sanitizer");
    assertThat(run.exit).isEqualTo(1);
    assertThat(run.out)
        .contains("FAILED: memcheck ADeviceTest: exit code 3", "racecheck BDeviceTest: clean");
    assertThat(new ResultFile(rows).read())
        .extracting(DeviceResult::note)
        .contains("classes clean: 1, with findings or failed: 1, not done: 0")
        .contains("classes clean: 2, with findings or failed: 0, not done: 0");
    assertThat(new ResultFile(rows).read())
        .extracting(DeviceResult::verdict)
        .containsExactly("short", "ok");
  }

  @Test
  void namesTheLibraryThatIsMissing() throws Exception {
    assumeTrue(
        !Files.exists(Path.of("/usr/local/cuda/lib64/libnvrtc.so.13")), "this machine has CUDA 13");
    Files.delete(temp.resolve("libraries/libnvrtc.so.13"));
    Run run = run();
    assertThat(run.exit).isEqualTo(2);
    assertThat(run.out).contains("FAILED: not found: libnvrtc.so.13; install");
    assertThat(calls()).hasSize(1);
  }

  @Test
  void refusesWhatItDoesNotKnow() throws Exception {
    assertThat(run("--fast").out).contains("unknown argument --fast", "usage: run-gpu.sh");
    assertThat(run("--limit", "soon").out).contains("--limit: expected seconds, got soon");
    assertThat(run("--limit").exit).isEqualTo(2);
  }
}

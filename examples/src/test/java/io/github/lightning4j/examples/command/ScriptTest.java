package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The scripts, up to where they would start Java or the command. */
final class ScriptTest {
  private static final Path SCRIPT = Repository.ROOT.resolve("minimax").toAbsolutePath();
  private static final Path SHELL = Path.of("/bin/sh");

  @TempDir private Path temp;

  @BeforeEach
  void needsAShell() {
    assumeTrue(Files.exists(SHELL), "no " + SHELL);
  }

  @Test
  void saysInOneLineThatThereIsNoJava() throws Exception {
    Path readlink = Path.of("/usr/bin/readlink");
    assumeTrue(Files.exists(readlink), "no " + readlink);
    Files.createSymbolicLink(temp.resolve("readlink"), readlink);
    assertThat(refusal(SCRIPT, ""))
        .isEqualTo("minimax: no java: install a JDK, 17 or newer, or set JAVA_HOME to one");
  }

  @Test
  void saysInOneLineThatJavaHomeHasNone() throws Exception {
    Path link = Files.createSymbolicLink(temp.resolve("link"), SCRIPT);
    assertThat(refusal(link, "/nowhere"))
        .isEqualTo("minimax: no java: JAVA_HOME is /nowhere, which has no bin/java");
  }

  @Test
  void saysInOneLineThatJavaIsTooOld() throws Exception {
    for (String version : new String[] {"1.8.0_402", "11.0.2"}) {
      Path java = java(version);
      assertThat(refusal(SCRIPT, temp.resolve("jdk").toString()))
          .isEqualTo(
              "minimax: "
                  + java
                  + " is Java "
                  + version
                  + ": needs 17 or newer; set JAVA_HOME to one");
    }
  }

  @Test
  void asksEachJavaForItsAgeOnce() throws Exception {
    java("17.0.2");
    Path script = built();
    for (int start = 0; start < 2; start++) {
      Process process = start(script, temp.resolve("jdk").toString());
      assertThat(said(process)).isEmpty();
      assertThat(process.waitFor()).isZero();
    }
    assertThat(Files.readAllLines(temp.resolve("asked"))).hasSize(3).first().isEqualTo("-version");
  }

  @Test
  void firstTokenIsTimedFromTheStartToTheFirstByte() throws Exception {
    assumeTrue(said(new ProcessBuilder("date", "+%N").start()).matches("\\d+"), "date without %N");
    Files.createDirectories(temp.resolve("examples"));
    Path script = Repository.ROOT.resolve("examples/first-token.sh");
    Path copy = Files.copy(script, temp.resolve("examples/first-token.sh"));
    program(temp.resolve("minimax"), "echo remark >&2; sleep 0.2; echo text; sleep 0.3");
    String told = said(new ProcessBuilder(SHELL.toString(), copy.toString(), "2").start());
    assertThat(told).matches("first byte after min \\d+, median \\d+, max \\d+ ms \\(2 runs\\)");
    int min = Integer.parseInt(told.replaceAll(".*min (\\d+).*", "$1"));
    assertThat(min).isBetween(200, 499);
    program(temp.resolve("minimax"), "exit 1");
    Process failing = new ProcessBuilder(SHELL.toString(), copy.toString(), "1").start();
    assertThat(said(failing)).isEmpty();
    assertThat(failing.waitFor()).isEqualTo(1);
  }

  /** A copy of the script in a suite that is built. */
  private Path built() throws IOException {
    Files.createDirectories(temp.resolve("suite/examples/target"));
    for (String empty : new String[] {"pom.xml", "examples/pom.xml"}) {
      Files.createFile(temp.resolve("suite").resolve(empty));
    }
    Files.createDirectories(temp.resolve("suite/examples/src/main"));
    Files.createDirectories(temp.resolve("suite/models"));
    Files.createFile(temp.resolve("suite/examples/target/minimax.built"));
    return Files.copy(SCRIPT, temp.resolve("suite/minimax"));
  }

  /** A Java of a version that does nothing but note what it is asked. */
  private Path java(String version) throws IOException {
    return program(
        temp.resolve("jdk/bin/java"),
        "echo \"$1\" >>'" + temp.resolve("asked") + "'",
        "[ \"$1\" != -version ] || {",
        "echo 'Picked up JAVA_TOOL_OPTIONS: -Dx' >&2",
        "echo 'openjdk version \"" + version + "\" 2024-01-16' >&2",
        "}");
  }

  private static Path program(Path file, String... lines) throws IOException {
    Files.createDirectories(file.getParent());
    Files.writeString(file, "#!/bin/sh\n" + String.join("\n", lines) + "\n");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    return file;
  }

  private Process start(Path script, String javaHome) throws IOException {
    ProcessBuilder builder = new ProcessBuilder(SHELL.toString(), script.toString(), "diagnose");
    builder.redirectErrorStream(true).directory(temp.toFile());
    builder.environment().put("JAVA_HOME", javaHome);
    if (javaHome.isEmpty()) {
      builder.environment().put("PATH", temp.toString());
    }
    return builder.start();
  }

  private static String said(Process process) throws IOException {
    return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
  }

  private String refusal(Path script, String javaHome) throws IOException, InterruptedException {
    Process process = start(script, javaHome);
    String said = said(process);
    assertThat(process.waitFor()).isEqualTo(1);
    return said;
  }
}

package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script in the root, up to where it would start Java. */
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

  private String refusal(Path script, String javaHome) throws IOException, InterruptedException {
    ProcessBuilder builder = new ProcessBuilder(SHELL.toString(), script.toString(), "diagnose");
    builder.redirectErrorStream(true).directory(temp.toFile());
    builder.environment().put("JAVA_HOME", javaHome);
    if (javaHome.isEmpty()) {
      builder.environment().put("PATH", temp.toString());
    }
    Process process = builder.start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).isEqualTo(1);
    return said.strip();
  }
}

package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.testkit.ChildJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The program in the README does what the README says. */
final class ReadmeTest {
  @Test
  void exampleRuns(@TempDir Path folder) throws IOException {
    String text =
        Files.readString(Path.of(System.getProperty("lightning4j.repository"), "core/README.md"));
    int begin = text.indexOf("```java\n") + 8;
    Path source = folder.resolve("Example.java");
    Files.writeString(source, text.substring(begin, text.indexOf("```", begin)));
    for (String reference : new String[] {"false", "true"}) {
      ChildJvm.Result result =
          new ChildJvm().with("lightning4j.reference", reference).run(source.toString());
      assertThat(result.status()).as(result.output()).isZero();
      assertThat(result.output()).endsWith("[5.0, 11.0]\n");
    }
    assertThat(text).contains("`[5.0, 11.0]`");
  }
}

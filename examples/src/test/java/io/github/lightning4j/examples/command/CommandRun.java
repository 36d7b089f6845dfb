package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.Memory;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * What came of a run of the command.
 *
 * @param code its exit code
 * @param out its standard output
 * @param err its standard error
 */
record CommandRun(int code, String out, String err) {
  private static final JsonMapper STRICT =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  /** Runs {@code minimax}; arguments are told by their {@code toString}. */
  static CommandRun of(Object... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    String[] words = Stream.of(args).map(Object::toString).toArray(String[]::new);
    int code = Minimax.run(words, new PrintWriter(out), new PrintWriter(err));
    return new CommandRun(code, out.toString(), err.toString());
  }

  /** As {@link #of}, but anything except exit code 0 is an error. */
  static CommandRun done(Object... args) {
    CommandRun run = of(args);
    if (run.code != 0) {
      throw new AssertionError("exit code " + run.code + ": " + run.err);
    }
    return run;
  }

  /**
   * Refused with exit code 2 and one line; no output, no new file in a folder, no memory kept.
   *
   * @param says a part of the line
   */
  static void assertRefused(Path folder, String says, Object... args) {
    List<Path> before = files(folder);
    long memory = Memory.liveBytes();
    CommandRun run = of(args);
    assertThat(run.code).as(run.err).isEqualTo(2);
    assertThat(run.out).isEmpty();
    assertThat(run.err.lines()).singleElement().asString().startsWith("minimax: ").contains(says);
    assertThat(run.err).doesNotContain("internal fault");
    assertThat(files(folder)).isEqualTo(before);
    assertThat(Memory.liveBytes()).isEqualTo(memory);
  }

  private static List<Path> files(Path folder) {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Standard output as the one JSON object it must be. */
  JsonNode json() {
    try {
      JsonNode node = STRICT.readTree(out);
      if (!node.isObject()) {
        throw new AssertionError("expected one JSON object, got: " + out);
      }
      return node;
    } catch (JsonProcessingException e) {
      throw new AssertionError("expected one JSON object, got: " + out, e);
    }
  }
}

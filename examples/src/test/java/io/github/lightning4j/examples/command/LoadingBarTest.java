package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bar while a model loads: on a terminal, for files that take a while, unless for JSON. */
final class LoadingBarTest {
  @TempDir private Path temp;

  private Path model = Path.of("");

  @BeforeEach
  void copyAModel() {
    model = Repository.copy(Repository.fixture("alt_gqa_b32").resolve("hf"), temp.resolve("model"));
  }

  @Test
  void isShownOnATerminalForLargeFiles() throws IOException {
    addFile((256 << 20) + 1);
    assertThat(shown(true)).contains("Loading the model");
    assertThat(shown(false)).isEmpty();
    assertThat(shown(true, "--json")).isEmpty();
  }

  @Test
  void isNotShownForSmallFiles() throws IOException {
    addFile(1 << 20);
    assertThat(shown(true)).isEmpty();
  }

  /** A file of weights that the model does not need; it takes no room on disk. */
  private void addFile(int bytes) throws IOException {
    Path more = model.resolve("more.safetensors");
    try (RandomAccessFile file = new RandomAccessFile(more.toFile(), "rw")) {
      file.setLength(bytes);
    }
  }

  /** What a run shows on the terminal beside its remarks. */
  private String shown(boolean terminal, String... more) {
    PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
    ByteArrayOutputStream shown = new ByteArrayOutputStream();
    PrintStream before = System.err;
    System.setErr(new PrintStream(shown, true, StandardCharsets.UTF_8));
    try {
      Stream<String> args = Stream.of("generate", "--model", model.toString(), "--prompt-ids=1,2");
      String[] all = Stream.concat(args, Stream.of(more)).toArray(String[]::new);
      assertThat(Minimax.run(all, new Console(nowhere, nowhere, terminal))).isZero();
    } finally {
      System.setErr(before);
    }
    return shown.toString(StandardCharsets.UTF_8);
  }
}

package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What is wrong gives exit code 2 and one line that says what; nothing is left behind. */
final class BadInputTest {
  private static final Path FIXTURE = Repository.fixture("alt_gqa_b32");

  @TempDir private Path temp;

  private Path model = Path.of("");
  private Path input = Path.of("");

  /** One thing done to a checkpoint folder. */
  @FunctionalInterface
  private interface Damage {
    void to(Path folder) throws IOException;
  }

  @BeforeEach
  void copyAModel() {
    model = Repository.copy(FIXTURE.resolve("hf"), temp.resolve("model"));
    input = input(1, 2, 3);
  }

  static Stream<Arguments> damages() {
    return Stream.of(
        arguments("model.safetensors", truncated(100)),
        arguments("model.safetensors", truncated(0)),
        arguments("header", headerLength(0)),
        arguments("header", headerLength(-1)),
        arguments("header", headerLength(1L << 40)),
        arguments("model.safetensors", (Damage) f -> Files.delete(f.resolve("model.safetensors"))),
        arguments("config.json", (Damage) f -> Files.delete(f.resolve("config.json"))),
        arguments("JSON", (Damage) f -> Files.writeString(f.resolve("config.json"), "{")),
        arguments("model_type", config("model_type", "gpt2")),
        arguments("hidden_act", config("hidden_act", "gelu")),
        arguments("num_experts_per_tok", config("num_experts_per_tok", "many")),
        arguments("by the config, got [64, 48]", config("head_dim", 4)),
        arguments("missing tensor", config("shared_intermediate_size", 8)));
  }

  private static Damage truncated(int left) {
    return folder -> {
      try (FileChannel file = weights(folder)) {
        file.truncate(left == 0 ? 0 : file.size() - left);
      }
    };
  }

  private static Damage headerLength(long length) {
    return folder -> {
      try (FileChannel file = weights(folder)) {
        file.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length), 0);
      }
    };
  }

  private static Damage config(String key, Object value) {
    return folder ->
        Repository.edit(folder.resolve("config.json"), config -> config.putPOJO(key, value));
  }

  private static FileChannel weights(Path folder) throws IOException {
    return FileChannel.open(folder.resolve("model.safetensors"), StandardOpenOption.WRITE);
  }

  @ParameterizedTest(name = "{index} {0}")
  @MethodSource("damages")
  void brokenCheckpoint(String says, Damage damage) throws IOException {
    damage.to(model);
    assertRefused(says, "generate", "--model", model, "--prompt-ids", "1,2", "--json");
    assertRefused(says, "logits", "--model", model, "--input", input, "--out", out());
  }

  @Test
  void missingShard() throws IOException {
    Path sharded = Repository.copy(FIXTURE.resolve("orig"), temp.resolve("sharded"));
    try (Stream<Path> files = Files.list(sharded)) {
      Path shard =
          files.filter(f -> f.toString().matches(".*-0*2-of-.*")).findFirst().orElseThrow();
      Files.delete(shard);
      assertRefused(
          shard.getFileName().toString(), "generate", "--model", sharded, "--prompt-ids", "1");
    }
  }

  @Test
  void weightsThatAreNotNumbersAreFoundOnRequest() throws IOException {
    try (FileChannel file = weights(model)) {
      ByteBuffer nan = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(0, Float.NaN);
      file.write(nan, file.size() - 4);
    }
    assertRefused(
        "NaN", "logits", "--model", model, "--check-weights", "--input", input, "--out", out());
  }

  static Stream<Arguments> prompts() {
    return Stream.of(
        arguments("got 128", List.of("--prompt-ids", "1,128")),
        arguments("got -1", List.of("--prompt-ids=-1")),
        arguments("'x' is not an int", List.of("--prompt-ids", "1,x")),
        arguments("has no tokenizer", List.of("--prompt", "text")),
        arguments("expected one of --prompt", List.of()),
        arguments("mutually exclusive", List.of("--prompt", "a", "--prompt-ids", "1")),
        arguments("no such file", List.of("--chat", "nowhere.json")),
        arguments("temperature", List.of("--prompt-ids", "1", "--temperature", "-1")),
        arguments("topP", List.of("--prompt-ids", "1", "--top-p", "0")),
        arguments("maxNewTokens", List.of("--prompt-ids", "1", "--max-new-tokens", "0")),
        arguments("need a tokenizer", List.of("--prompt-ids", "1", "--stop", "x")),
        arguments(
            "threads: expected 1 to 1024, got 0", List.of("--prompt-ids", "1", "--threads", "0")),
        arguments(
            "threads: expected 1 to 1024, got 1025",
            List.of("--prompt-ids", "1", "--threads", "1025")),
        arguments("got 2147483647", List.of("--prompt-ids", "1", "--threads", "2147483647")),
        arguments("Unknown option: '--prompts=1'", List.of("--prompts=1")));
  }

  @ParameterizedTest
  @MethodSource("prompts")
  void badPromptOrOption(String says, List<String> options) {
    assertRefused(
        says, Stream.concat(Stream.of("generate", "--model", model), options.stream()).toArray());
  }

  @Test
  void badPictures() throws IOException {
    Path seeing = Repository.fixture("vl-tiny/gelu_4l/orig");
    Path picture = Repository.fixture("vl-preprocess/images/gray.png");
    Path broken = Files.writeString(temp.resolve("broken.png"), "no picture");
    assertRefused("reads text only, got 1", "generate", "--image", picture);
    Object[] generate = {"generate", "--model", seeing, "--prompt-ids", "75,1", "--image"};
    assertRefused("no such file", with(generate, temp.resolve("nowhere.png")));
    assertRefused("expected a PNG or JPEG picture", with(generate, broken));
    assertRefused("each of 1 placeholders", with(generate, picture, "--image", picture));
    assertRefused("got 0", "generate", "--model", seeing, "--prompt-ids", "75,1");
  }

  private static Object[] with(Object[] args, Object... more) {
    return Stream.concat(Stream.of(args), Stream.of(more)).toArray();
  }

  @Test
  void emptyPrompt() {
    assertRefused("empty prompt", "generate", "--prompt", "", "--json");
  }

  @Test
  void promptLongerThanTheContext() throws IOException {
    config("max_position_embeddings", 4).to(model);
    assertRefused("context of 4", "generate", "--model", model, "--prompt-ids", "1,2,3,4,5");
    Path long5 = input(1, 2, 3, 4, 5);
    assertRefused("context of 4", "logits", "--model", model, "--input", long5, "--out", out());
    assertRefused("context of 4", "bench", "--model", model, "--prefill", 3, "--decode", 2);
  }

  @Test
  void outputThatCannotBeWritten() {
    assertRefused(
        "cannot be written",
        "logits",
        "--model",
        model,
        "--input",
        input,
        "--out",
        temp.resolve("no/such/folder/x"));
  }

  @Test
  void badText() throws IOException {
    Path latin1 = Files.write(temp.resolve("latin1.txt"), new byte[] {'a', (byte) 0xe9, 'b'});
    Path empty = Files.writeString(temp.resolve("empty.txt"), "");
    assertRefused("UTF-8", "perplexity", "--text", latin1);
    assertRefused("two tokens or more, got 0", "perplexity", "--text", empty);
    assertRefused("no such file", "perplexity", "--text", temp.resolve("nowhere"));
    assertRefused("--window: expected >= 2, got 1", "perplexity", "--text", empty, "--window", 1);
    for (int window : new int[] {8193, Integer.MAX_VALUE}) {
      String says = "--window: expected <= 8192 (the context), got " + window;
      assertRefused(says, "perplexity", "--text", empty, "--window", window);
    }
    assertRefused("Missing required option: '--text=FILE'", "perplexity");
  }

  @Test
  void badConversation() throws IOException {
    Path chat = Files.writeString(temp.resolve("chat.json"), "[{\"content\": 3}]");
    assertRefused("role", "generate", "--chat", chat);
    Files.writeString(chat, "{\"messages\": [], \"tool\": []}");
    assertRefused("tool: unknown key", "generate", "--chat", chat);
  }

  @Test
  void noCommandOrAnUnknownOne() {
    assertRefused("Missing required subcommand");
    assertRefused("generat", "generat");
  }

  @Test
  void stacktraceOnRequest() {
    CommandRun run = CommandRun.of("generate", "--model", temp.resolve("nowhere"), "--stacktrace");
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.err()).contains("CheckpointException").contains("\tat ");
  }

  private void assertRefused(String says, Object... args) {
    CommandRun.assertRefused(temp, says, args);
  }

  private Path out() {
    return temp.resolve("out.safetensors");
  }

  private Path input(long... ids) {
    Path file = temp.resolve("input-" + ids.length + ".safetensors");
    try (Tensor tensor = Tensor.of(ids, 1, ids.length)) {
      SafetensorsWriter.write(file, Map.of("input_ids", tensor), Map.of());
    }
    return file;
  }
}

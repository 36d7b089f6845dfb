package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.moe.MixtureOfExperts;
import io.github.lightning4j.moe.comm.MpiCommunicator;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code minimax moe-bench}: that it tells, not what it measures. */
final class MoeBenchCommandTest {
  private static final List<String> SMALL =
      List.of(
          "moe-bench",
          "--hidden",
          "64",
          "--experts",
          "4",
          "--intermediate",
          "64",
          "--tokens",
          "30");

  @TempDir private Path temp;

  private static Object[] small(String... more) {
    return Stream.concat(SMALL.stream(), Stream.of(more)).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"f32", "BF16", "f16", "int8", "int8/64", "int4/32"})
  void measuresEveryFormatOnOneRank(String format) {
    JsonNode result = CommandRun.done(small("--format", format, "--json")).json();
    assertThat(result.get("ranks").asInt()).isEqualTo(1);
    assertThat(result.get("communicationShare").asDouble()).isZero();
    assertThat(result.get("imbalance").asDouble()).isEqualTo(1);
    assertThat(result.get("format").asText()).isEqualTo(format.toLowerCase());
    assertTells(result);
  }

  @ParameterizedTest
  @CsvSource({"2,1,1", "2,2,1", "2,1,2", "2,2,2"})
  void measuresRanksThatAreThreads(String ep, String etp, String edp) {
    JsonNode result =
        CommandRun.done(
                small(
                    "--ep",
                    ep,
                    "--etp",
                    etp,
                    "--edp",
                    edp,
                    "--token-groups",
                    "2",
                    "--load",
                    "one",
                    "--format",
                    "f32",
                    "--json"))
            .json();
    int ranks = Integer.parseInt(ep) * Integer.parseInt(etp) * Integer.parseInt(edp);
    assertThat(result.get("ranks").asInt()).isEqualTo(ranks);
    assertThat(result.get("imbalance").asDouble()).isGreaterThan(1);
    assertThat(result.get("communicationShare").asDouble()).isBetween(0.0, 1.0);
    assertTells(result);
  }

  @Test
  void dropsWhatIsOverCapacity() {
    // All 30 tokens choose expert 0, which takes ceil(30 * 2 / 4) = 15; of the 30 other choices no
    // more than 15 of one expert stay.
    assertThat(dropped("--load", "one", "--capacity", "1")).isBetween(15.0 / 60, 30.0 / 60);
    for (String etp : List.of("1", "2")) {
      assertThat(dropped("--ep", "2", "--etp", etp, "--load", "one", "--capacity", "1"))
          .isBetween(15.0 / 60, 30.0 / 60);
      assertThat(dropped("--ep", "2", "--etp", etp, "--load", "one")).isZero();
    }
    // Repetitions that help each other drop, but not more than without.
    String[] repeated = {"--ep", "2", "--edp", "2", "--load", "skewed", "--capacity", "1"};
    String[] routed =
        Stream.concat(Stream.of(repeated), Stream.of("--global-router")).toArray(String[]::new);
    assertThat(dropped(routed)).isPositive().isLessThanOrEqualTo(dropped(repeated));
    assertThat(CommandRun.done(small(routed)).out())
        .contains("4 = ep 2 x etp 1 x edp 2")
        .contains("% of the time")
        .containsPattern("dropped +[1-9][0-9]\\.[0-9]{2} % of the choices");
  }

  private static double dropped(String... options) {
    Object[] arguments = Stream.concat(Stream.of(small(options)), Stream.of("--json")).toArray();
    return CommandRun.done(arguments).json().get("fractionDropped").asDouble();
  }

  @Test
  void comparesWithOneRank() {
    JsonNode result = CommandRun.done(small("--ep", "2", "--baseline", "--json")).json();
    assertThat(result.get("speedup").asDouble())
        .isEqualTo(
            result.get("singleRankMilliseconds").asDouble()
                / result.get("forwardMilliseconds").asDouble());
    assertThat(CommandRun.done(small("--ep", "2", "--baseline")).out())
        .containsPattern("one rank +[0-9.]+ ")
        .containsPattern("speedup +[0-9]+\\.[0-9]{2} times one rank");
    assertThat(CommandRun.done(small("--ep", "2", "--json")).json().has("speedup")).isFalse();
  }

  private static void assertTells(JsonNode result) {
    for (String what : List.of("forwardMilliseconds", "tokensPerSecond", "communicationShare")) {
      JsonNode range = result.get(what + "Range");
      assertThat(result.get(what).asDouble())
          .as(what)
          .isBetween(range.get(0).asDouble(), range.get(1).asDouble());
    }
    assertThat(result.get("forwardMilliseconds").asDouble()).isPositive();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--top-k 5 | --top-k: expected 1 to 4 experts, got 5",
        "--ep 3 | ep: expected a divisor of 4 experts, got 3; these fit: [1, 2, 4]",
        "--etp 3 | etp: expected a divisor of the intermediate width 64, got 3",
        "--edp 0 | edp: expected >= 1, got 0",
        "--format int3 | --format: expected f32, bf16",
        "--load odd | --load: expected even, skewed or one, got odd",
        "--token-groups 0 | tokenGroups: expected 1 to 64, got 0",
        "--capacity -1 | factor: expected a finite number > 0, got -1",
        "--global-router | --global-router: expected --capacity",
        "--repeats 0 | --repeats: expected >= 1, got 0"
      })
  void refusesWhatDoesNotFit(String options, String says) {
    CommandRun.assertRefused(temp, says, small(options.split(" ")));
  }

  @Test
  void measuresRanksThatAreProcesses() throws IOException, InterruptedException {
    Assumptions.assumeTrue(MixtureOfExperts.availability().isAvailable(), "no native library");
    Assumptions.assumeTrue(
        Stream.of(System.getenv("PATH").split(":"))
            .anyMatch(folder -> Files.isExecutable(Path.of(folder, "mpirun"))),
        "no mpirun: apt-get install openmpi-bin");
    assertThat(MpiCommunicator.availability().isAvailable()).isTrue();
    List<String> command =
        new ArrayList<>(
            List.of(
                "mpirun",
                "-n",
                "2",
                "--oversubscribe",
                "--bind-to",
                "none",
                "--allow-run-as-root",
                "sh",
                "-c",
                "\"$@\"",
                "sh"));
    command.addAll(List.of(System.getProperty("java.home") + "/bin/java", "-cp"));
    command.add(System.getProperty("java.class.path"));
    command.add(Minimax.class.getName());
    command.addAll(SMALL);
    command.add("--json");
    Path out = temp.resolve("out");
    Process job = new ProcessBuilder(command).redirectOutput(out.toFile()).start();
    try {
      assertThat(job.waitFor(2, TimeUnit.MINUTES)).isTrue();
    } finally {
      job.descendants().forEach(ProcessHandle::destroyForcibly);
      job.destroyForcibly();
    }
    String text = Files.readString(out, StandardCharsets.UTF_8);
    assertThat(job.exitValue()).as(text).isZero();
    JsonNode result = new CommandRun(0, text, "").json();
    assertThat(result.get("ep").asInt()).isEqualTo(2);
    assertTells(result);
  }
}

package io.github.lightning4j.jmh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The script that runs benchmarks in turn, on commands that only print. */
final class SideBySideTest {
  private static final Path SCRIPT = Path.of("src/main/python/side_by_side.py").toAbsolutePath();

  /** Two contexts, as {@code minimax bench --json} tells them. */
  private static final String OURS =
      """
      {
        "runs" : [ {
          "context" : 512, "prefillTokensPerSecond" : 600.0, "prefillRange" : [ 580.5, 610.0 ],
          "decodeTokensPerSecond" : 80.0, "decodeRange" : [ 70.0, 90.0 ],
          "batch" : 4, "batchDecodeTokensPerSecond" : 200.0, "batchDecodeRange" : [ 190.0, 210.0 ]
        }, {
          "context" : 2048, "prefillTokensPerSecond" : 500.0, "prefillRange" : [ 500.0, 500.0 ],
          "decodeTokensPerSecond" : 60.0, "decodeRange" : [ 60.0, 60.0 ]
        } ],
        "peakRssBytes" : 1019895808
      }
      """;

  private static final String HEAD =
      "| context | run | prefill tokens/s | decode tokens/s | peak MB | prefill ratio | decode ratio |";

  @TempDir private Path temp;

  /** What a run of the script left. */
  private record Result(int exit, String out, String err) {
    List<String> rows() {
      assertThat(out).startsWith(HEAD + "\n| --- |");
      return out.lines().skip(2).takeWhile(line -> line.startsWith("|")).toList();
    }
  }

  @BeforeEach
  void needsPython() throws Exception {
    assumeTrue(Files.exists(Path.of("/bin/sh")), "no /bin/sh");
    Process which = new ProcessBuilder("/bin/sh", "-c", "python3 --version").start();
    assumeTrue(which.waitFor() == 0, "no python3");
  }

  @Test
  void runsInTurnAndTellsMediansRangesAndRatios() throws Exception {
    // Prefill 100, 300, 200 and decode 10, 20, 60 in rounds one to three.
    String peer =
        note("B")
            + "n=$(grep -c B order); set -- 100 300 200; eval p=\\${$n}; set -- 10 20 60; eval d=\\${$n};"
            + " echo '{\"ctx\": 512, \"note\": \"of a warm-up\", \"prefill\": 1, \"decode\": 1}';"
            + " echo 'a remark'; echo"
            + " \"{\\\"ctx\\\": 512, \\\"prefill\\\": $p, \\\"decode\\\": $d, \\\"peak_rss_mb\\\": $p}\"";
    Result result =
        run("--baseline", "B", "--run", "A a=" + note("A") + prints(OURS), "--run", "B=" + peer);
    assertThat(result.exit).as(result.err).isZero();
    assertThat(Files.readString(temp.resolve("order"))).isEqualTo("A\nB\nA\nB\nA\nB\n");
    assertThat(result.rows())
        .containsExactly(
            "| 512 | A a | 600.0 (580.5 to 610.0) | 80.0 (70.0 to 90.0) | 1,020 | 3.00 | 4.00 |",
            "| 512 | B | 200.0 (100.0 to 300.0) | 20.0 (10.0 to 60.0) | 315 | 1.00 | 1.00 |",
            "| 512 x 4 | A a | - | 200.0 (190.0 to 210.0) | 1,020 | - | - |",
            "| 2048 | A a | 500.0 (500.0 to 500.0) | 60.0 (60.0 to 60.0) | 1,020 | - | - |");
    assertThat(result.out)
        .contains("ratios are those of medians at the same context to B.")
        .contains("- B: passed over 1 JSON object before other text");
  }

  @Test
  void readsVariantsAndTheObjectOfTransformers() throws Exception {
    String lines =
        "{\"type\":\"bf16\",\"kv\":\"f16\",\"ctx\":512,\"prefill\":100,\"prefill_range\":[90,110],"
            + "\"decode\":50,\"decode_range\":[45,55]}\n"
            + "{\"type\":\"q8_0\",\"kv\":\"f16\",\"ctx\":512,\"prefill\":80,\"decode\":75}\n";
    String transformers =
        "{\"dtype\":\"bf16\",\"prefill\":{\"512\":{\"median_s\":2,\"min_s\":1,\"max_s\":4,\"tok_s\":256}},"
            + "\"decode\":{\"512\":{\"tok_s_median\":16,\"chunks_s\":[4,2,1]}},\"peak_rss_mib\":1000}";
    Result result =
        run(
            "--rounds=1",
            "--baseline=peer q8_0",
            "--baseline=transformers=peer bf16",
            "--run=peer=" + prints(lines),
            "--run=transformers=" + prints(transformers));
    assertThat(result.exit).as(result.err).isZero();
    assertThat(result.rows())
        .containsExactly(
            "| 512 | peer bf16 | 100.0 (90.0 to 110.0) | 50.0 (45.0 to 55.0) | - | 1.25 | 0.67 |",
            "| 512 | peer q8_0 | 80.0 (80.0 to 80.0) | 75.0 (75.0 to 75.0) | - | 1.00 | 1.00 |",
            "| 512 | transformers | 256.0 (128.0 to 512.0) | 16.0 (8.0 to 32.0) | 1,049 | 2.56 | 0.32 |");
    assertThat(result.out).contains("to peer q8_0, of transformers to peer bf16.");
  }

  @Test
  void commandsThatFailAreToldAndTheOthersCount() throws Exception {
    String good = prints("{\"ctx\": 8, \"prefill\": 2, \"decode\": 1}");
    Result result =
        run(
            "--rounds=2",
            "--timeout=20",
            "--run=good=" + note("g") + good,
            "--run=bad=" + note("b") + good + "; echo no model >&2; exit 3",
            "--run=mute=echo nothing",
            "--run=other=" + prints("{\"length\": 8, \"pp\": 2}"),
            "--run=half=" + prints("{\"ctx\": 8, \"prefill\": 2}"),
            "--run=odd=" + prints("{\"ctx\": 8, \"prefill\": \"fast\", \"decode\": 1}"));
    assertThat(result.exit).isEqualTo(1);
    assertThat(result.rows()).containsExactly(goodRow("good"));
    assertThat(Files.readString(temp.resolve("order"))).isEqualTo("g\nb\ng\n");
    assertThat(result.err)
        .contains("bad: round 1: exit code 3\n    no model\n")
        .contains("mute: round 1: no JSON object on standard output\n    nothing\n")
        .contains("other: round 1: no context among the keys length, pp (looked for context, ctx)")
        .contains("half: round 1: no decode among the keys ctx, prefill")
        .contains("name it with --keys 'half:decode=KEY', or 'half:decode=' where")
        .contains("odd: round 1: prefill: expected a number above 0, got \"fast\"");
    assertThat(result.out).contains("- bad: failed in round 1: exit code 3");
    JsonNode json = new JsonMapper().readTree(temp.resolve("out/measurements.json").toFile());
    assertThat(json.findValuesAsText("error")).hasSize(5);
    assertThat(json.get("measurements")).hasSize(2);
    assertThat(json.at("/table/0/prefill/0").doubleValue()).isEqualTo(2);
    assertThat(Files.readString(temp.resolve("out/table.md"))).isEqualTo(result.out);
  }

  @Test
  void whatTakesTooLongIsEndedWithAllItStarted() throws Exception {
    // Without an end of sleep its standard output, and with it the script, would stay open.
    String slow = "echo waiting >&2; sleep 600 & wait; echo done >order";
    Result result =
        run(
            "--rounds=1",
            "--timeout=5",
            "--run=slow=" + slow,
            "--run=good=" + prints("{\"ctx\": 8, \"prefill\": 2, \"decode\": 1}"));
    assertThat(result.exit).isEqualTo(1);
    assertThat(result.err).contains("slow: round 1: not done after 5 s (--timeout)\n    waiting\n");
    assertThat(result.out).contains("- no ratios with slow: not measured (measured: good)");
    assertThat(result.rows()).containsExactly(goodRow("good").replace("1.00", "-"));
    assertThat(temp.resolve("order")).doesNotExist();
  }

  @Test
  void otherKeysAreNamed() throws Exception {
    String output = "{\"size\": {\"prompt\": 8}, \"pp\": 2, \"memory\": 1000000}";
    Result result =
        run(
            "--rounds=1",
            "--keys=a b:context=size.prompt,prefill=pp",
            "--keys=a b:decode=,peak_bytes=memory",
            "--run=a b=" + prints(output));
    assertThat(result.exit).as(result.err).isZero();
    assertThat(result.rows()).containsExactly("| 8 | a b | 2.0 (2.0 to 2.0) | - | 1 | 1.00 | - |");
    Result wrong = run("--keys=a b:speed=pp", "--run=a b=" + prints(output));
    assertThat(wrong.exit).isEqualTo(2);
    assertThat(wrong.err).contains("expected NAME:FIGURE=KEY,... with a FIGURE of context, ");
    assertThat(run("--baseline=c", "--run=a=true").err)
        .contains("--baseline: expected one of a, got c");
  }

  @Test
  void drawsAChart() throws Exception {
    assumeTrue(start(List.of("-c", "import matplotlib")).exit == 0, "no matplotlib");
    Result result = run("--rounds=1", "--run=ours <1>=" + prints(OURS));
    assertThat(result.exit).as(result.err).isZero();
    assertThat(Files.readString(temp.resolve("out/chart.svg")))
        .contains("<svg", "ours &lt;1&gt;", "prefill, tokens/s", "decode, tokens/s", "512 x 4");
  }

  @Test
  void saysHowToGetAChart() throws Exception {
    Files.writeString(temp.resolve("matplotlib.py"), "raise ImportError('none here')\n");
    Result result = run("--rounds=1", "--run=ours=" + prints(OURS));
    assertThat(result.exit).as(result.err).isZero();
    assertThat(result.rows()).hasSize(3);
    assertThat(result.err).contains("chart.svg: none here (pip install matplotlib)");
    assertThat(temp.resolve("out/chart.svg")).doesNotExist();
  }

  private static String goodRow(String name) {
    return "| 8 | " + name + " | 2.0 (2.0 to 2.0) | 1.0 (1.0 to 1.0) | - | 1.00 | 1.00 |";
  }

  /** A command that adds a line to the file that tells the order. */
  private static String note(String name) {
    return "echo " + name + " >>order; ";
  }

  private static String prints(String text) {
    return "printf '%s' '" + text + "'";
  }

  private Result run(String... arguments) throws Exception {
    List<String> all = new ArrayList<>(List.of("-B", SCRIPT.toString(), "--out", "out"));
    all.addAll(List.of(arguments));
    return start(all);
  }

  private Result start(List<String> arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("python3"));
    command.addAll(arguments);
    Path out = temp.resolve("stdout");
    Path err = temp.resolve("stderr");
    ProcessBuilder builder = new ProcessBuilder(command).directory(temp.toFile());
    builder.environment().put("PYTHONPATH", temp.toString());
    Process process = builder.redirectOutput(out.toFile()).redirectError(err.toFile()).start();
    try {
      assertThat(process.waitFor(120, TimeUnit.SECONDS)).as("ended").isTrue();
    } finally {
      process.destroyForcibly();
    }
    return new Result(process.exitValue(), Files.readString(out), Files.readString(err));
  }
}

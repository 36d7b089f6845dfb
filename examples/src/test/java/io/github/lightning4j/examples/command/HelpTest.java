package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code --help}. */
final class HelpTest {
  @ParameterizedTest
  @CsvSource({
    "generate, --model --prompt --prompt-ids --chat --image --max-new-tokens --temperature --top-p --top-k --seed --kv --kv-calibration --device --expert-parallel --threads --json",
    "logits, --model --input --out --hidden --chunk",
    "perplexity, --model --device --weights --kv --kv-calibration --text --window --json",
    "inspect, --model --gpus --json",
    "quantize, --model --weights --out",
    "bench, --model --device --kv --kv-calibration --prefill --decode --batch --budget --config --layers --prompt-tokens --threads --json",
    "moe-bench, --hidden --experts --top-k --intermediate --tokens --format --load --ep --etp --edp --token-groups --capacity --threads --json",
    "calibrate, --model --text --train-share --window --image --captions --pictures --prompt --prompt-ids --recent --out",
    "kv-report, --model --text --train-share --window --image --captions --pictures --prompt --prompt-ids --recent --kv-calibration --tokens --context --decode --repeats --out --json",
    "caption-report, --model --pictures --captions --prompt --stop --max-new-tokens --recent --kv-calibration --json",
    "diagnose, --measure --json",
    "rl, --seeds --rollouts --plot --json"
  })
  void tellsOfEveryOption(String command, String options) {
    CommandRun run = CommandRun.done(command, "--help");
    assertThat(run.out()).startsWith("Usage: minimax " + command).contains(options.split(" "));
    assertThat(run.err()).isEmpty();
    assertThat(CommandRun.done("--help").out()).contains("\n  " + command + " ");
  }

  @Test
  void isNoLongerThanAScreenIsWide() {
    assertThat(CommandRun.done("generate", "--help").out().lines())
        .allSatisfy(line -> assertThat(line).hasSizeLessThanOrEqualTo(100));
  }
}

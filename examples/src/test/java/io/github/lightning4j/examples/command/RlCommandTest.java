package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code minimax rl}, short enough to learn nothing. */
final class RlCommandTest {
  @TempDir private Path temp;

  @Test
  void printsATableAndDraws() throws Exception {
    Path plot = temp.resolve("rewards.png");
    CommandRun run = CommandRun.done("rl", "--seeds", 2, "--rollouts", 2, "--plot", plot);
    assertThat(run.out().lines().toList())
        .hasSize(4)
        .satisfies(
            lines -> {
              assertThat(lines.get(0)).matches("loss +final reward +updates to .* of the best");
              assertThat(lines.get(1)).matches("GRPO +0\\.\\d{3} \\+- 0\\.\\d{3} .*of 2 seeds\\)");
              assertThat(lines.get(2)).startsWith("DAPO ");
              assertThat(lines.get(3)).startsWith("CISPO ");
            });
    assertThat(ImageIO.read(plot.toFile()).getWidth()).isEqualTo(900);
  }

  @Test
  void printsOneObject() {
    JsonNode node = CommandRun.done("rl", "--seeds", 1, "--rollouts", 2, "--json").json();
    assertThat(node.get("losses")).hasSize(3);
    JsonNode cispo = node.get("losses").get(2);
    assertThat(cispo.get("name").asText()).isEqualTo("CISPO");
    assertThat(cispo.get("updates").get(0).asInt()).isZero();
    // At first one answer in 1,296 is right: a handful of groups, not 8 mini-batches of them.
    assertThat(cispo.get("updates").get(1).asDouble()).isBetween(2.0, 14.0);
    assertThat(cispo.get("meanReward")).hasSize(2);
    assertThat(cispo.get("deviation").get(0).asDouble()).isZero();
  }

  @Test
  void refusesBadOptions() {
    CommandRun.assertRefused(temp, "--seeds: expected >= 1, got 0", "rl", "--seeds", 0);
    CommandRun.assertRefused(temp, "--rollouts: expected >= 1, got -1", "rl", "--rollouts", -1);
    Path nowhere = temp.resolve("no/plot.png");
    CommandRun.assertRefused(temp, "--plot: no such folder: ", "rl", "--plot", nowhere);
    assertThat(Files.exists(nowhere)).isFalse();
  }
}

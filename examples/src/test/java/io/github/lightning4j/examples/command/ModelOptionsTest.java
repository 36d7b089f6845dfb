package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.minimax.WeightPlacement;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class ModelOptionsTest {
  private static ModelOptions parsed(String... arguments) {
    ModelOptions options = new ModelOptions();
    CommandLine.populateCommand(options, arguments);
    return options;
  }

  @Test
  void weightsAreCopiedWhereEnoughTokensAreToCome() {
    ModelOptions options = parsed();
    assertThat(options.placement()).isEqualTo(WeightPlacement.AUTO);
    options.expect(1000);
    assertThat(options.placement()).isEqualTo(WeightPlacement.AUTO);
    options.expect(999);
    assertThat(options.placement()).isEqualTo(WeightPlacement.MAPPED);
  }

  @Test
  void weightsStayMappedWhereThatIsAsked() {
    ModelOptions options = parsed("--mapped");
    options.expect(100_000);
    assertThat(options.placement()).isEqualTo(WeightPlacement.MAPPED);
  }
}

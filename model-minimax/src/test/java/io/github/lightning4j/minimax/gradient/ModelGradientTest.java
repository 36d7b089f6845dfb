package io.github.lightning4j.minimax.gradient;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.minimax.LoadOptions;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.Session;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class ModelGradientTest {
  /** The README of the case: grad, grad.loss, grad.aux. */
  private static final double GRADIENT = 0.00096;

  private static final double LOSS = 1.5e-5;
  private static final double BALANCE = 4.3e-6;

  @ParameterizedTest
  @EnumSource
  void lossAndGradientsOfEveryWeightAreTheStatedOnes(Backend backend) throws URISyntaxException {
    Assumptions.assumeTrue(
        backend == Backend.REFERENCE || Gemm.availability().isAvailable(),
        Gemm.availability().reason());
    Path folder = Path.of(ModelGradientTest.class.getResource("/fixtures/alt_gqa_b32").toURI());
    try (MiniMaxModel model =
            MiniMaxModel.load(folder.resolve("hf"), LoadOptions.DEFAULT.withBackend(backend));
        Session session = model.newSession();
        Safetensors weights = Safetensors.open(folder.resolve("hf"));
        SafetensorsFile golden = SafetensorsFile.open(folder.resolve("expected.safetensors"))) {
      Gradients gradients = new Gradients(weights);
      ModelGradient gradient = new ModelGradient(model.config(), gradients, backend);
      int[] ids =
          Arrays.stream(golden.tensor("grad.input_ids").toLongs()).mapToInt(i -> (int) i).toArray();
      gradient.run(session, ids, golden.tensor("grad.labels").toLongs(), 0.001);
      assertThat(gradient.crossEntropy())
          .isCloseTo(golden.tensor("grad.ce_loss").toDoubles()[0], within(LOSS));
      assertThat(gradient.balance())
          .isCloseTo(golden.tensor("grad.aux_loss").toDoubles()[0], within(BALANCE));
      int compared = 0;
      for (String name : golden.names()) {
        if (name.startsWith("grad.d.")) {
          Closeness.assertWithin(
              name,
              gradients.all().get(name.substring("grad.d.".length())),
              golden.tensor(name).toDoubles(),
              GRADIENT);
          compared++;
        }
      }
      assertThat(compared)
          .as("every weight has a stated gradient")
          .isEqualTo(gradients.all().size());
    }
  }
}

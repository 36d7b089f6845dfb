package io.github.lightning4j.jmh.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.jmh.AttentionSize;
import org.junit.jupiter.api.Test;

/** Files of both kinds, whole and broken. */
final class ReadingTest {
  @Test
  void takesMediansOfTheAttentionBenchmarks() {
    assertThat(new JmhResults(8).read(Samples.json(Samples.JMH)))
        .containsExactly(
            new Measurement(
                Kernel.LIGHTNING,
                Pass.FORWARD,
                DType.F32,
                1,
                new AttentionSize(16, 64, 1024),
                3,
                2000),
            new Measurement(
                Kernel.SOFTMAX,
                Pass.FORWARD_BACKWARD,
                DType.F32,
                1,
                new AttentionSize(8, 32, 256),
                3,
                3000),
            new Measurement(
                Kernel.JAVA, Pass.DECODE, DType.F32, 16, new AttentionSize(64, 128, 1), 3, 4000));
  }

  @Test
  void threadsNotSetAreThoseOfTheMachine() {
    String text = Samples.JMH.replace(", \"-Dlightning4j.threads=3\"", "");
    assertThat(new JmhResults(8).read(Samples.json(text)))
        .extracting(Measurement::threads)
        .containsOnly(8);
  }

  @Test
  void takesTheAttentionOperatorsOfPyTorch() {
    assertThat(TorchResults.read(Samples.json(Samples.TORCH)))
        .containsExactly(
            new Measurement(
                Kernel.TORCH_LIGHTNING,
                Pass.FORWARD,
                DType.BF16,
                1,
                new AttentionSize(16, 64, 4096),
                2,
                26e6),
            new Measurement(
                Kernel.TORCH_SOFTMAX,
                Pass.FORWARD_BACKWARD,
                DType.F32,
                1,
                new AttentionSize(16, 64, 1024),
                2,
                5e8));
  }

  @Test
  void refusesOtherUnitsAndOtherFiles() {
    JmhResults reader = new JmhResults(1);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> reader.read(Samples.json(Samples.JMH.replace("ns/op", "us/op"))))
        .withMessage("LightningPrefillBenchmark.forward: expected ns/op, got us/op");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> reader.read(Samples.json("{}")))
        .withMessage("expected an array of results, as -rf json writes it");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> reader.read(Samples.json(Samples.JMH.replace("\"params\"", "\"p\""))))
        .withMessageStartingWith("expected an object with \"params\", got {\"benchmark\":");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TorchResults.read(Samples.json("{\"threads\": 2}")))
        .withMessage("expected an object with \"results\", got {\"threads\":2}");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> AttentionSize.of("16x64x"))
        .withMessage("size: expected HxD or HxDxT, got 16x64x");
  }
}

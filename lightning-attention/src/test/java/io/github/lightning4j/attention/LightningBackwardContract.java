package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What every implementation of {@link LightningAttention#backward} must do. */
abstract class LightningBackwardContract {
  abstract LightningAttention attention();

  @ParameterizedTest
  @ValueSource(
      strings = {
        "lightning_n7_d16",
        "lightning_n33_state",
        "lightning_n256_rect",
        "lightning_n300_d32"
      })
  void givesTheGoldenGradients(String name) {
    try (Golden golden = new Golden(name)) {
      Tensor dq = golden.likeTokens("q");
      Tensor dk = golden.likeTokens("k");
      Tensor dv = golden.likeTokens("v");
      Tensor dState = golden.tensor("init_state");
      Prefill forward =
          new Prefill(
                  golden.byTokens("q"),
                  golden.byTokens("k"),
                  golden.byTokens("v"),
                  golden.decay(),
                  Options.DEFAULT,
                  golden.likeTokens("out"))
              .initialState(golden.tensor("init_state"));
      attention()
          .backward(
              forward,
              new Gradients(golden.byTokens("dout"))
                  .dFinalState(golden.tensor("dfinal_state"))
                  .outDq(dq)
                  .outDkDv(dk, dv)
                  .outDInitialState(dState));
      golden.assertClose("dq", Golden.swapped(dq));
      golden.assertClose("dk", Golden.swapped(dk));
      golden.assertClose("dv", Golden.swapped(dv));
      golden.assertClose("dstate", dState);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 129, 257})
  void agreesWithTheQuadraticFormOverAwkwardSizes(int tokens) {
    int[] channels = LightningAttentionContract.CHANNELS;
    int pairs = tokens <= 65 ? channels.length : 3;
    for (int i = 0; i < pairs; i++) {
      int dk = channels[(i + tokens) % channels.length];
      int dv = channels[(i * 5 + tokens + 3) % channels.length];
      try (Problem p = new Problem(tokens * 10L + i, 2, tokens, dk, dv, 0.84, 0.003);
          BackwardRun run = new BackwardRun(p)) {
        run.withDLogDecay(attention());
        run.assertOracle(1e-10);
      }
    }
  }

  @Test
  void givesTheGradientOfTheDecayForLongSequences() {
    // Fast heads: a sum of t (q . dq - k . dk) in fp32 would cancel at the end of the sequence.
    try (Problem p = new Problem(1, 1, 3000, 8, 8, 2.5, 0.9, 0.01, 0.0);
        BackwardRun run = new BackwardRun(p)) {
      run.withDLogDecay(attention());
      run.assertOracle(1e-10);
    }
  }

  @Test
  void takesNoFinalGradientAsZero() {
    try (Problem p = new Problem(2, 2, 40, 16, 8, 0.3, 0.01);
        BackwardRun run = new BackwardRun(p);
        BackwardRun zeros = new BackwardRun(p)) {
      run.call(attention(), null, null);
      try (Tensor zero = Tensor.allocate(p.dFinal.dtype(), p.dFinal.shape())) {
        zeros.call(attention(), zero, null);
      }
      assertThat(run.all()).isEqualTo(zeros.all());
    }
  }

  @Test
  void askingForTheDecayChangesNothingElse() {
    try (Problem p = new Problem(3, 2, 70, 33, 16, 0.3, 0.01);
        BackwardRun run = new BackwardRun(p);
        BackwardRun other = new BackwardRun(p)) {
      run.call(attention(), p.dFinal, null);
      other.withDLogDecay(attention());
      assertThat(run.all()).isEqualTo(other.all());
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Problem p = new Problem(4, 3, 100, 33, 16, 0.84, 0.02, 0.001);
        BackwardRun one = new BackwardRun(p)) {
      Threads.use(1);
      one.withDLogDecay(attention());
      for (int threads : new int[] {2, 4}) {
        Threads.use(threads);
        try (BackwardRun many = new BackwardRun(p)) {
          many.withDLogDecay(attention());
          assertThat(many.all()).isEqualTo(one.all());
          assertThat(many.dLogDecay.toFloats()).isEqualTo(one.dLogDecay.toFloats());
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Problem p = new Problem(5, 1, 3, 32, 32, 0.84);
        BackwardRun run = new BackwardRun(p)) {
      long before = Pointer.physicalBytes();
      FlatMemory.assertFlat("backward", 10_000, () -> run.withDLogDecay(attention()));
      // Scratch memory lost at each call would be 600 MB.
      assertThat(Pointer.physicalBytes() - before).isLessThan(300L << 20);
    }
  }
}

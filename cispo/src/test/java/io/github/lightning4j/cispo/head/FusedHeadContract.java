package io.github.lightning4j.cispo.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What every implementation of {@link FusedHead} promises. */
abstract class FusedHeadContract {
  static final double NMSE = 1e-10;

  abstract Backend backend();

  final FusedHead head() {
    return FusedHead.of(backend());
  }

  final void assertMatchesPlain(String what, HeadCase of) {
    head().forward(of.input, of.output);
    head().backward(of.input, of.output, of.gradients());
    PlainHead plain = of.plain();
    assertNmse(what + " logProb", of.output.logProb(), plain.logProb);
    assertNmse(what + " logSumExp", of.output.logSumExp(), plain.logSumExp);
    Closeness.assertWithin(
        what + " entropy", HeadCase.doubles(of.output.entropy()), plain.entropy, 2e-5);
    double[] dLogProb = of.dLogProb.toDoubles();
    double[] dEntropy = of.dEntropy.toDoubles();
    assertNmse(what + " dHidden", of.dHidden, plain.dHidden(dLogProb, dEntropy));
    assertNmse(what + " dHead", of.dHead, plain.dHead(dLogProb, dEntropy));
  }

  private static void assertNmse(String what, Tensor actual, double[] expected) {
    // A vocabulary of one word has logarithms of 1 and no gradients.
    Closeness.assertNmse(what, actual.toDoubles(), expected, NMSE, 1e-4);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 1",
    "1, 2, 3",
    "2, 7, 8",
    "3, 8, 9",
    "7, 9, 31",
    "8, 31, 32",
    "9, 32, 33",
    "31, 33, 7",
    "32, 63, 63",
    "33, 64, 64",
    "63, 65, 65",
    "64, 127, 2",
    "65, 129, 127",
    "127, 255, 1",
    "5, 256, 255",
    "6, 257, 256",
    "12, 511, 257",
    "13, 513, 129"
  })
  void matchesThePlainFormula(int tokens, int words, int width) {
    for (DType type : new DType[] {DType.F32, DType.BF16}) {
      try (HeadCase of = new HeadCase(tokens, words, width, type, type, 1)) {
        assertMatchesPlain(type + " " + tokens + " " + words + " " + width, of);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.3, 0.6, 1.5})
  void dividesByTheTemperature(double temperature) {
    try (HeadCase of = new HeadCase(9, 70, 33, DType.F32, DType.BF16, temperature);
        HeadCase other = new HeadCase(9, 70, 33, DType.BF16, DType.F32, temperature)) {
      assertMatchesPlain("F32 BF16", of);
      assertMatchesPlain("BF16 F32", other);
    }
  }

  @Test
  void takesStridedRows() {
    try (HeadCase of = HeadCase.strided(19, 45, 13, 21)) {
      assertMatchesPlain("strided", of);
    }
  }

  @Test
  void writesNothingBesideItsRows() {
    try (HeadCase of = HeadCase.strided(19, 45, 13, 21)) {
      Tensor wide = of.dHead.strided(0, new long[] {45, 21}, new long[] {21, 1});
      wide.narrow(1, 13, 8)
          .copyFrom(of.input.head().strided(13, new long[] {45, 8}, new long[] {21, 1}));
      double[] before = wide.narrow(1, 13, 8).toDoubles();
      head().forward(of.input, of.output);
      head().backward(of.input, of.output, of.gradients());
      assertThat(wide.narrow(1, 13, 8).toDoubles()).isEqualTo(before);
    }
  }

  @Test
  void onlyWhatIsWantedIsWritten() {
    try (HeadCase of = new HeadCase(9, 40, 17, DType.F32, DType.F32, 1)) {
      HeadOutput some = HeadOutput.of(of.output.logProb(), of.output.logSumExp());
      head().forward(of.input, some);
      PlainHead plain = of.plain();
      assertNmse("logProb", some.logProb(), plain.logProb);
      HeadGradients gradients = HeadGradients.of(of.dLogProb);
      double[] none = new double[9];
      head().backward(of.input, some, gradients.toDHidden(of.dHidden));
      assertNmse("dHidden", of.dHidden, plain.dHidden(of.dLogProb.toDoubles(), none));
      assertThat(of.dHead.toDoubles()).containsOnly(0);
      double[] dHidden = of.dHidden.toDoubles();
      head().backward(of.input, some, gradients.toDHead(of.dHead));
      assertNmse("dHead", of.dHead, plain.dHead(of.dLogProb.toDoubles(), none));
      assertThat(of.dHidden.toDoubles()).isEqualTo(dHidden);
    }
  }

  @Test
  void microBatchesAddUp() {
    try (HeadCase of = new HeadCase(10, 40, 17, DType.F32, DType.BF16, 1)) {
      head().forward(of.input, of.output);
      head().backward(of.input, of.output, of.gradients());
      double[] whole = of.dHead.toDoubles();
      for (long from = 0; from < 10; from += 5) {
        HeadInput part =
            new HeadInput(
                of.input.hidden().narrow(0, from, 5),
                of.input.head(),
                of.input.targets().narrow(0, from, 5),
                1);
        HeadOutput out =
            new HeadOutput(
                of.output.logProb().narrow(0, from, 5),
                of.output.logSumExp().narrow(0, from, 5),
                Stream.ofNullable(of.output.entropy()).findAny().orElseThrow().narrow(0, from, 5));
        HeadGradients gradients =
            HeadGradients.of(of.dLogProb.narrow(0, from, 5))
                .withDEntropy(of.dEntropy.narrow(0, from, 5));
        head()
            .backward(
                part,
                out,
                from == 0 ? gradients.toDHead(of.dHead) : gradients.addingToDHead(of.dHead));
      }
      Closeness.assertNmse("dHead", of.dHead.toDoubles(), whole, NMSE);
    }
  }

  @Test
  void noTokens() {
    try (HeadCase of = new HeadCase(0, 40, 17, DType.F32, DType.F32, 1)) {
      of.dHead.copyFrom(of.input.head());
      double[] before = of.dHead.toDoubles();
      HeadGradients gradients = HeadGradients.of(of.dLogProb);
      head().forward(of.input, of.output);
      head().backward(of.input, of.output, gradients.addingToDHead(of.dHead));
      assertThat(of.dHead.toDoubles()).isEqualTo(before);
      head().backward(of.input, of.output, gradients.toDHead(of.dHead));
      assertThat(of.dHead.toDoubles()).containsOnly(0);
    }
  }

  @Test
  void threadsChangeNoBit() {
    assertThreadsChangeNoBit(500, 1200, 40);
  }

  final void assertThreadsChangeNoBit(int tokens, int words, int width) {
    int before = Threads.count();
    double[][] first = new double[0][];
    try (HeadCase of = new HeadCase(tokens, words, width, DType.F32, DType.BF16, 1)) {
      for (int threads : new int[] {1, 4}) {
        Threads.use(threads);
        head().forward(of.input, of.output);
        head().backward(of.input, of.output, of.gradients());
        double[][] bits = {
          of.output.logProb().toDoubles(),
          of.output.logSumExp().toDoubles(),
          HeadCase.doubles(of.output.entropy()),
          of.dHidden.toDoubles(),
          of.dHead.toDoubles()
        };
        assertThat(threads == 1 || Stream.of(bits).allMatch(b -> b.length > 0)).isTrue();
        if (threads == 1) {
          first = bits;
        } else {
          assertThat(bits).isDeepEqualTo(first);
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void aNanStaysWithItsToken() {
    try (HeadCase of = new HeadCase(9, 40, 17, DType.F32, DType.F32, 1)) {
      head().forward(of.input, of.output);
      double[] clean = of.output.logProb().toDoubles();
      of.input.hidden().accessor().set(4 * 17 + 3, Double.NaN);
      head().forward(of.input, of.output);
      clean[4] = Double.NaN;
      assertThat(of.output.logProb().toDoubles()).isEqualTo(clean);
      assertThat(of.output.logSumExp().toDoubles()[4]).isNaN();
      assertThat(HeadCase.doubles(of.output.entropy())[4]).isNaN();
    }
  }

  /**
   * Logits of 300 and, 14 below, of others that share 1e-6: exact in fp32, unlike a probability so
   * near 1, or a log-sum-exp in fp32. The last token's target is one of the unlikely words.
   */
  @Test
  void nearlyCertainTokens() {
    try (HeadCase of = new HeadCase(5, 40, 2, DType.F32, DType.F32, 0.5)) {
      for (int t = 0; t < 5; t++) {
        of.input.hidden().accessor().set(2 * t, 1);
        of.input.hidden().accessor().set(2 * t + 1, 1 + t / 64.0);
        of.input.targets().accessor().setLong(t, t < 4 ? 7 : 3);
      }
      for (int v = 0; v < 40; v++) {
        of.input.head().accessor().set(2 * v, v == 7 ? 150 : 140);
        of.input.head().accessor().set(2 * v + 1, v == 7 ? 2 : 3.75 - v / 32.0);
      }
      head().forward(of.input, of.output);
      head().backward(of.input, of.output, of.gradients());
      PlainHead plain = of.plain();
      assertThat(-plain.logProb[0]).isBetween(1e-7, 1e-5);
      assertClose("logProb", of.output.logProb().toDoubles(), plain.logProb);
      assertClose("entropy", HeadCase.doubles(of.output.entropy()), plain.entropy);
      // One word's gradient by the second column, where the tokens differ, has all tokens in it.
      double[] dEntropy = new double[5];
      HeadGradients first = HeadGradients.of(of.dLogProb).toDHead(of.dHead);
      for (int t = 0; t < 5; t++) {
        for (int other = 0; other < 5; other++) {
          of.dLogProb.accessor().set(other, other == t ? 1 : 0);
        }
        head().backward(of.input, of.output, first);
        double[] expected = plain.dHead(of.dLogProb.toDoubles(), dEntropy);
        assertClose("dHead " + t, of.dHead.toDoubles(), expected);
      }
    }
  }

  private static void assertClose(String what, double[] actual, double[] expected) {
    for (int i = 0; i < expected.length; i++) {
      assertThat(actual[i])
          .as("%s[%s]", what, i)
          .isCloseTo(expected[i], within(5e-6 * Math.abs(expected[i])));
    }
  }

  /** A padded row may hold anything: 0 times NaN must not reach the gradient of the head. */
  @Test
  void rowsWithoutGradientsAreNotRead() {
    for (DType type : new DType[] {DType.F32, DType.BF16}) {
      try (HeadCase of = new HeadCase(19, 45, 37, type, type, 1)) {
        of.dLogProb.accessor().set(4, 0);
        of.dEntropy.accessor().set(4, 0);
        of.dEntropy.accessor().set(5, 0); // its log-probability has a gradient
        head().forward(of.input, of.output);
        head().backward(of.input, of.output, of.gradients());
        double[] dHead = of.dHead.toDoubles();
        double[] dHidden = of.dHidden.toDoubles();
        of.input.hidden().accessor().set(4 * 37 + 3, Double.NaN);
        head().forward(of.input, of.output);
        head().backward(of.input, of.output, of.gradients());
        assertThat(of.dHead.toDoubles()).isEqualTo(dHead);
        assertThat(of.dHidden.toDoubles()).isEqualTo(dHidden);
        assertThat(of.dHidden.select(0, 4).toDoubles()).containsOnly(0);
        assertThat(of.dHidden.select(0, 5).toDoubles()).doesNotContain(0);
      }
    }
  }

  /** Logits of 3000 and more: exp of them would overflow. */
  @Test
  void largeLogits() {
    try (HeadCase of = new HeadCase(3, 40, 17, DType.F32, DType.F32, 0.001)) {
      head().forward(of.input, of.output);
      Closeness.assertNmse("logProb", of.output.logProb().toDoubles(), of.plain().logProb, 1e-10);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (HeadCase of = new HeadCase(2, 5, 3, DType.F32, DType.BF16, 1)) {
      FlatMemory.assertFlat(
          "fused head",
          10_000,
          () -> {
            head().forward(of.input, of.output);
            head().backward(of.input, of.output, of.gradients());
          });
    }
  }
}

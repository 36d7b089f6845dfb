package io.github.lightning4j.attention;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** A mix of element types that the gated norm takes; {@code out} stands for {@code dOut} too. */
record NormTypes(DType x, DType gate, DType weight, DType out) {
  private static final List<DType> ALL = List.of(DType.F32, DType.BF16, DType.F16);

  static NormTypes of(DType all) {
    return new NormTypes(all, all, all, all);
  }

  /** The awkward sizes, and that of a model. */
  static int[] sizes() {
    return IntStream.concat(IntStream.of(Cases.AWKWARD), IntStream.of(8192)).toArray();
  }

  static List<NormTypes> mixes() {
    List<NormTypes> mixes = new ArrayList<>();
    for (DType x : ALL) {
      for (DType gate : ALL) {
        for (DType weight : ALL) {
          for (DType out : ALL) {
            boolean gateFits = gate == x || gate == DType.F32 || x == DType.F32;
            if (gateFits && (out == x || out == DType.F32)) {
              mixes.add(new NormTypes(x, gate, weight, out));
            }
          }
        }
      }
    }
    return mixes;
  }

  /** By the rule of the type that the result is stored in. */
  static void assertClose(
      String what, DType type, double[] actual, double[] naive, double[] exact, double typical) {
    if (type == DType.F32) {
      Closeness.assertNmse(what, actual, exact, 1e-10, typical);
    } else {
      Closeness.assertNoWorseThanNaive(what, actual, naive, exact);
    }
  }

  /** The same formula at a 16-bit type, or exact where there is nothing to compare with. */
  static NormFormula naive(DType type) {
    return type == DType.F32 ? NormFormula.exact() : NormFormula.naive(type);
  }
}

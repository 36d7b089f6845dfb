package io.github.lightning4j.moe.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Which tokens count. */
public final class TokenMask {
  private static final Set<DType> TYPES =
      EnumSet.complementOf(EnumSet.of(DType.F64, DType.F32, DType.F16, DType.BF16));

  private TokenMask() {}

  /**
   * Checks a mask against a number of tokens.
   *
   * @param mask integers in any contiguous shape; null if all tokens count
   * @throws IllegalArgumentException if type, layout or size do not fit
   */
  public static void check(@Nullable Tensor mask, long tokens) {
    if (mask != null) {
      Checks.dtype("mask", mask, TYPES);
      Checks.contiguous("mask", mask);
      checkArgument(
          mask.elements() == tokens,
          "mask: expected %s elements, one a token, got %s",
          tokens,
          mask);
    }
  }

  /** Checks and reads: whether each token counts. */
  public static boolean[] of(@Nullable Tensor mask, long tokens) {
    check(mask, tokens);
    boolean[] counted = new boolean[Math.toIntExact(tokens)];
    if (mask == null) {
      Arrays.fill(counted, true);
    } else {
      Elements values = mask.accessor();
      for (int t = 0; t < counted.length; t++) {
        counted[t] = values.getLong(t) != 0;
      }
    }
    return counted;
  }
}

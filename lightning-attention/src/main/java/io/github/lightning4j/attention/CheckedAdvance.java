package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.PrefillCall;
import io.github.lightning4j.attention.internal.Sequence;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The arguments of {@link LightningAttention#advance}, checked. */
final class CheckedAdvance {
  private CheckedAdvance() {}

  static PrefillCall of(
      Tensor k,
      Tensor v,
      Decay decay,
      Options options,
      Tensor statePool,
      @Nullable Tensor slots,
      @Nullable Tensor tokens,
      boolean doubles) {
    Arguments.keysAndValues(k, v, decay, doubles);
    long rows = k.size(0);
    Arguments.states("statePool", statePool, k, v, slots == null ? rows : -1);
    long[] entries = Arguments.slots(slots, rows, statePool.size(0), k);
    if (tokens != null) {
      Checks.dtype("tokens", tokens, DType.I32);
      Checks.shape("tokens", tokens, rows);
      Checks.contiguous("tokens", tokens);
      Checks.sameDevice("tokens", tokens, "k", k);
    }
    new Apartness()
        .input("k", k)
        .input("v", v)
        .input("slots", slots)
        .input("tokens", tokens)
        .output("statePool", statePool)
        .check();
    List<Sequence> sequences = new ArrayList<>();
    Elements counts = tokens == null ? null : tokens.accessor();
    for (int b = 0; b < rows; b++) {
      long count = counts == null ? k.size(1) : counts.getLong(b);
      checkArgument(
          count >= 0 && count <= k.size(1),
          "tokens[%s]: expected 0 <= tokens <= %s, got %s",
          b,
          k.size(1),
          count);
      if (entries[b] >= 0 && count > 0) {
        sequences.add(new Sequence(b, 0, count, entries[b], entries[b]));
      }
    }
    return new PrefillCall(
        null, k, v, null, decay.tensor(), options, statePool, statePool, null, 0, sequences);
  }
}

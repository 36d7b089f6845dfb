package io.github.lightning4j.moe.loss;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.ExpertIndex;
import io.github.lightning4j.moe.internal.TokenMask;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What the routers of some layers saw and chose: the input of {@link AuxLoss}.
 *
 * @param routerLogits for each layer {@code [T, E]} F32, all of one shape; T may be 0 on some of
 *     several ranks
 * @param index for each layer {@code [T, k]} I32, the router's choice before any capacity; an index
 *     from which dropped tokens were removed gives a wrong load
 * @param mask T integers in any contiguous shape, e.g. {@code [B, S]}: tokens with 0, such as
 *     padding, count nowhere; null if all do
 * @param offsets {@code [B + 1]} I32 or I64, contiguous, from 0 to T: where packed sequences begin
 *     and end; null for a single one
 */
public record RouterBatch(
    List<Tensor> routerLogits,
    List<Tensor> index,
    @Nullable Tensor mask,
    @Nullable Tensor offsets) {
  private static final Set<DType> OFFSETS = EnumSet.of(DType.I32, DType.I64);

  /**
   * Validates.
   *
   * @throws IllegalArgumentException naming what does not fit: type, shape, an index outside {@code
   *     [0, E)}, offsets that fall or do not end at T
   */
  public RouterBatch {
    checkLogits(routerLogits);
    routerLogits = List.copyOf(routerLogits);
    index = List.copyOf(index);
    Tensor first = routerLogits.get(0);
    checkArgument(
        index.size() == routerLogits.size(),
        "index: expected %s layers, got %s",
        routerLogits.size(),
        index.size());
    for (int layer = 0; layer < index.size(); layer++) {
      String name = "index[" + layer + "]";
      Checks.matrix(name, index.get(layer), DType.I32);
      Checks.shape(name, index.get(layer), first.size(0), index.get(0).size(1));
      ExpertIndex.check(index.get(layer), first.size(1));
    }
    TokenMask.check(mask, first.size(0));
    if (offsets != null) {
      checkOffsets(offsets, first.size(0));
    }
  }

  /** Without a mask, as one sequence. */
  public static RouterBatch of(List<Tensor> routerLogits, List<Tensor> index) {
    return new RouterBatch(routerLogits, index, null, null);
  }

  /** The same with tokens that do not count. */
  public RouterBatch withMask(@Nullable Tensor newMask) {
    return new RouterBatch(routerLogits, index, newMask, offsets);
  }

  /** The same as packed sequences. */
  public RouterBatch withOffsets(@Nullable Tensor newOffsets) {
    return new RouterBatch(routerLogits, index, mask, newOffsets);
  }

  int tokens() {
    return Math.toIntExact(routerLogits.get(0).size(0));
  }

  int experts() {
    return Math.toIntExact(routerLogits.get(0).size(1));
  }

  int slots() {
    return Math.toIntExact(index.get(0).size(1));
  }

  /** Where sequences begin, and the end. */
  long[] bounds() {
    return offsets == null ? new long[] {0, tokens()} : offsets.toLongs();
  }

  static void checkLogits(List<Tensor> logits) {
    checkArgument(!logits.isEmpty(), "routerLogits: expected at least one layer, got none");
    for (int layer = 0; layer < logits.size(); layer++) {
      String name = "routerLogits[" + layer + "]";
      Checks.matrix(name, logits.get(layer), DType.F32);
      Checks.shape(name, logits.get(layer), logits.get(0).shape());
    }
  }

  private static void checkOffsets(Tensor offsets, long tokens) {
    Checks.dtype("offsets", offsets, OFFSETS);
    Checks.rank("offsets", offsets, 1);
    Checks.contiguous("offsets", offsets);
    long[] bounds = offsets.toLongs();
    checkArgument(
        bounds.length >= 2, "offsets: expected at least 2 entries, got %s", bounds.length);
    checkArgument(bounds[0] == 0, "offsets[0]: expected 0, got %s", bounds[0]);
    for (int i = 1; i < bounds.length; i++) {
      checkArgument(
          bounds[i] >= bounds[i - 1],
          "offsets[%s]: expected at least %s, the one before, got %s",
          i,
          bounds[i - 1],
          bounds[i]);
    }
    checkArgument(
        bounds[bounds.length - 1] == tokens,
        "offsets: expected to end at the %s tokens, got %s",
        tokens,
        bounds[bounds.length - 1]);
  }
}

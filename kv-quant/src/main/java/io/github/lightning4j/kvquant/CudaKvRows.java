package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Where the tokens of a step belong: n pieces of sequences, one behind the other. All lies on the
 * GPU and is read when kernels run; what it holds is not looked at before.
 *
 * @param sequences {@code [n]} I32: whose piece it is; -1 for none, whose tokens are left out
 * @param starts {@code [n]} I32: the position of the piece's first token
 * @param offsets {@code [n + 1]} I32: piece i is the tokens {@code [offsets[i], offsets[i + 1])},
 *     ascending; null where each piece is one token
 */
public record CudaKvRows(Tensor sequences, Tensor starts, @Nullable Tensor offsets) {
  /**
   * Checks types and shapes.
   *
   * @throws IllegalArgumentException if they do not fit
   */
  public CudaKvRows {
    Checks.rank("sequences", sequences, 1);
    checkOne("sequences", sequences, sequences.size(0));
    checkOne("starts", starts, sequences.size(0));
    if (offsets != null) {
      checkOne("offsets", offsets, sequences.size(0) + 1);
    }
  }

  /** Decode steps: one token of each sequence. */
  public static CudaKvRows decode(Tensor sequences, Tensor positions) {
    return new CudaKvRows(sequences, positions, null);
  }

  /** Pieces of prompts. */
  public static CudaKvRows packed(Tensor sequences, Tensor starts, Tensor offsets) {
    return new CudaKvRows(sequences, starts, offsets);
  }

  /** How many pieces there are. */
  public long count() {
    return sequences.size(0);
  }

  private static void checkOne(String name, Tensor x, long elements) {
    Checks.dtype(name, x, DType.I32);
    Checks.shape(name, x, elements);
    Checks.contiguous(name, x);
  }

  /** Refuses tensors of another device, and tokens that cannot be those of the pieces. */
  void check(Device device, long tokens) {
    for (Tensor x :
        offsets == null
            ? new Tensor[] {sequences, starts}
            : new Tensor[] {sequences, starts, offsets}) {
      checkArgument(x.device().equals(device), "rows: expected tensors on %s, got %s", device, x);
    }
    checkArgument(
        offsets != null || tokens == count(),
        "rows: expected one for each of %s tokens where there are no offsets, got %s",
        tokens,
        count());
  }
}

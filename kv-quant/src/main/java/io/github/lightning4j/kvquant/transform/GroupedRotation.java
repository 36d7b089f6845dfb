package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import io.github.lightning4j.kvquant.internal.TransformKernels;

/**
 * Takes keys into a {@link GroupedBasis} and back, before the rotary embedding.
 *
 * <p>Where the projection of keys was fused ({@link WeightFusion#key}) they come in that basis;
 * where a norm of each head stands between projection and rotary embedding they cannot, and new
 * tokens go through {@link #rotate}. Reading always goes through {@link #restore}, with the rotary
 * embedding of each key's own position behind it.
 *
 * <p>Numerics as {@link Hadamard}. Closed by whoever made it.
 */
public final class GroupedRotation implements AutoCloseable {
  private final GroupedBasis basis;
  private final TransformKernels kernels;
  private final Hadamard hadamard;
  private final MemoryScope scope = new MemoryScope();
  private final Tensor permutation;
  private final Tensor inverse;

  private GroupedRotation(GroupedBasis basis, Backend backend) {
    this.basis = basis;
    kernels = TransformKernels.of(backend);
    hadamard = Hadamard.of(backend);
    int[] order = basis.permutation();
    permutation = scope.add(Tensor.of(order, order.length));
    inverse = scope.add(Tensor.of(basis.inverse(), order.length));
  }

  /** With the fastest implementation of this machine. */
  public static GroupedRotation best(GroupedBasis basis) {
    return of(basis, KvQuantKernels.library().preferred());
  }

  /**
   * With a certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static GroupedRotation of(GroupedBasis basis, Backend backend) {
    return new GroupedRotation(basis, backend);
  }

  /** The basis. */
  public GroupedBasis basis() {
    return basis;
  }

  /**
   * Keys into the basis.
   *
   * @param k {@code [T, kvHeads headDim]} F32, before the rotary embedding; dense last dimension
   * @param outRotated as {@code k}: receives the rows before they are permuted; may be {@code k}
   * @param out as {@code k}: receives the rows as they are stored; apart from both
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void rotate(Tensor k, Tensor outRotated, Tensor out) {
    checkRows("k", k, "out", out);
    checkArgument(!Checks.overlap(out, outRotated), "out: must not overlap outRotated");
    hadamard.apply(k, basis.size(), outRotated);
    gather(outRotated, permutation, out);
  }

  /**
   * Keys out of the basis; the inverse of {@link #rotate}.
   *
   * @param stored {@code [T, kvHeads headDim]} F32, as they are stored; dense last dimension
   * @param out as {@code stored}, apart from it: the keys before the rotary embedding
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void restore(Tensor stored, Tensor out) {
    checkRows("stored", stored, "out", out);
    gather(stored, inverse, out);
    hadamard.apply(out, basis.size(), out);
  }

  private void checkRows(String name, Tensor x, String outName, Tensor out) {
    Hadamard.checkRows(name, x, outName, out);
    Checks.shape(name, x, x.size(0), permutation.size(0));
    checkArgument(!Checks.overlap(x, out), "%s: must not overlap %s", outName, name);
  }

  private void gather(Tensor x, Tensor index, Tensor out) {
    Threads.forRanges(
        x.size(0),
        Hadamard.grain(x.size(1)),
        (from, to) -> kernels.gatherChannels(x, index, out, from, to));
  }

  @Override
  public void close() {
    scope.close();
  }
}

package io.github.lightning4j.attention;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.GoldenCase;

/** A golden case of the operator; its tensors are {@code [B, H, T, D]}. */
final class Golden implements AutoCloseable {
  final MemoryScope scope = new MemoryScope();
  private final GoldenCase file;

  Golden(String name) {
    file = scope.add(new GoldenCase(Golden.class, name));
  }

  /** A fresh copy of a tensor of the file. */
  Tensor tensor(String name) {
    return file.tensor(name);
  }

  /** The same memory seen as {@code [B, T, H, D]}. */
  Tensor byTokens(String name) {
    return swapped(tensor(name));
  }

  Decay decay() {
    return Decay.ofSlopes(tensor("slopes").toDoubles());
  }

  /** A tensor {@code [B, T, H, D]} shaped as one of the file, zeros. */
  Tensor likeTokens(String name) {
    return scope.allocate(DType.F32, byTokens(name).shape());
  }

  void assertClose(String name, Tensor actual) {
    Closeness.assertWithin(
        name, actual.toDoubles(), tensor(name).toDoubles(), file.tolerance(name));
  }

  /** Swaps the two middle dimensions, without a copy. */
  static Tensor swapped(Tensor x) {
    return x.strided(
        0,
        new long[] {x.size(0), x.size(2), x.size(1), x.size(3)},
        new long[] {x.stride(0), x.stride(2), x.stride(1), x.stride(3)});
  }

  @Override
  public void close() {
    scope.close();
  }
}

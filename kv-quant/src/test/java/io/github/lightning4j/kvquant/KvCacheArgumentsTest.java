package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Every argument that does not fit is refused by name, with what was expected and what came. */
final class KvCacheArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final KvCache cache = scope.add(KvCache.create(2, 8, DType.BF16));
  private final Tensor fits = scope.allocate(DType.F32, 3, 2, 8);

  @AfterEach
  void close() {
    scope.close();
  }

  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }

  private Tensor zeros(DType dtype, long... shape) {
    return scope.allocate(dtype, shape);
  }

  @Test
  void headsOfTheCache() {
    assertRefused(() -> KvCache.create(0, 8, DType.F32), "kvHeads: expected >= 1, got 0");
  }

  @Test
  void headDimTooSmall() {
    assertRefused(() -> KvCache.create(1, 0, DType.F32), "headDim: expected 1 to 256, got 0");
  }

  @Test
  void headDimTooLarge() {
    assertRefused(() -> KvCache.create(1, 257, DType.F32), "headDim: expected 1 to 256, got 257");
  }

  @Test
  void typeOfTheCache() {
    assertRefused(() -> KvCache.create(1, 8, DType.I8), "dtype: expected F32, BF16 or F16, got I8");
  }

  @Test
  void rankOfKeys() {
    assertRefused(
        () -> cache.append(zeros(DType.F32, 3, 16), fits),
        "k: expected 3 dimensions, got shape [3, 16]");
  }

  @Test
  void typeOfKeys() {
    assertRefused(
        () -> cache.append(zeros(DType.BF16, 3, 2, 8), fits), "k: expected dtype F32, got BF16");
  }

  @Test
  void headDimOfKeys() {
    assertRefused(
        () -> cache.append(zeros(DType.F32, 3, 2, 9), fits),
        "k: expected shape [3, 2, 8], got [3, 2, 9]");
  }

  @Test
  void headsOfKeys() {
    assertRefused(
        () -> cache.append(zeros(DType.F32, 3, 4, 8), fits),
        "k: expected shape [3, 2, 8], got [3, 4, 8]");
  }

  @Test
  void stridesOfKeys() {
    Tensor transposed = fits.strided(0, new long[] {3, 2, 8}, new long[] {16, 1, 2});
    assertRefused(
        () -> cache.append(transposed, fits),
        "k: expected a last dimension of stride 1, got stride 2");
  }

  @Test
  void tokensOfValues() {
    assertRefused(
        () -> cache.append(fits, zeros(DType.F32, 4, 2, 8)),
        "v: expected shape [3, 2, 8], got [4, 2, 8]");
  }

  @Test
  void typeOfValues() {
    assertRefused(
        () -> cache.append(fits, zeros(DType.F64, 3, 2, 8)), "v: expected dtype F32, got F64");
  }

  @Test
  void truncateBeyondTheEnd() {
    cache.append(fits, fits);
    assertRefused(() -> cache.truncate(4), "length: expected 0 to 3, got 4");
  }

  @Test
  void truncateBeforeTheStart() {
    assertRefused(() -> cache.truncate(-1), "length: expected 0 to 0, got -1");
  }

  @Test
  void readOfAnotherLength() {
    cache.append(fits, fits);
    assertRefused(
        () -> cache.read(zeros(DType.F32, 2, 2, 8), fits),
        "outK: expected shape [3, 2, 8], got [2, 2, 8]");
  }

  @Test
  void readIntoAnotherType() {
    cache.append(fits, fits);
    assertRefused(
        () -> cache.read(fits, zeros(DType.BF16, 3, 2, 8)), "outV: expected dtype F32, got BF16");
  }
}

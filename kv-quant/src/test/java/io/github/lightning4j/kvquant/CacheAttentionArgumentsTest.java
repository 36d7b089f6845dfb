package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Every argument that does not fit is refused by name, with what was expected and what came. */
final class CacheAttentionArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final KvCache cache = scope.add(KvCache.create(2, 8, DType.F32));
  private final Tensor q = scope.add(Cases.normal(1, DType.F32, 3, 4, 8));
  private final Tensor out = scope.allocate(DType.F32, 3, 4, 8);

  CacheAttentionArgumentsTest() {
    Tensor k = scope.add(Cases.normal(2, DType.F32, 5, 2, 8));
    cache.append(k, k);
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private void assertRefused(Tensor q, float scale, Tensor out, String message) {
    ThrowingCallable call = () -> CacheAttention.best().attend(q, cache, scale, out);
    assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }

  private Tensor zeros(DType dtype, long... shape) {
    return scope.allocate(dtype, shape);
  }

  @Test
  void typeOfQueries() {
    assertRefused(zeros(DType.F16, 3, 4, 8), 1, out, "q: expected dtype F32, got F16");
  }

  @Test
  void rankOfQueries() {
    assertRefused(zeros(DType.F32, 3, 32), 1, out, "q: expected 3 dimensions, got shape [3, 32]");
  }

  @Test
  void headDimOfQueries() {
    assertRefused(zeros(DType.F32, 3, 4, 9), 1, out, "q: expected shape [3, 4, 8], got [3, 4, 9]");
  }

  @Test
  void stridesOfQueries() {
    Tensor transposed = q.strided(0, new long[] {3, 4, 8}, new long[] {32, 1, 4});
    assertRefused(transposed, 1, out, "q: expected a last dimension of stride 1, got stride 4");
  }

  @Test
  void headsThatKvHeadsDoNotDivide() {
    assertRefused(
        zeros(DType.F32, 3, 3, 8), 1, out, "q: expected a multiple of 2 kv heads, got 3 heads");
  }

  @Test
  void moreQueriesThanTokens() {
    assertRefused(
        zeros(DType.F32, 6, 4, 8),
        1,
        out,
        "q: expected at most 5 queries, the tokens of the cache, got 6");
  }

  @Test
  void scaleThatIsNoNumber() {
    assertRefused(q, Float.NaN, out, "scale: expected a finite factor, got NaN");
  }

  @Test
  void typeOfOutput() {
    assertRefused(q, 1, zeros(DType.F64, 3, 4, 8), "out: expected dtype F32, got F64");
  }

  @Test
  void shapeOfOutput() {
    assertRefused(q, 1, zeros(DType.F32, 2, 4, 8), "out: expected shape [3, 4, 8], got [2, 4, 8]");
  }

  @Test
  void stridesOfOutput() {
    Tensor transposed = out.strided(0, new long[] {3, 4, 8}, new long[] {32, 1, 4});
    assertRefused(q, 1, transposed, "out: expected a last dimension of stride 1, got stride 4");
  }

  @Test
  void outputOverQueries() {
    assertRefused(q, 1, q, "out: must not overlap q");
  }

  @Test
  void aClosedCache() {
    KvCache closed = KvCache.create(2, 8, DType.F32);
    closed.close();
    assertThatThrownBy(() -> CacheAttention.best().attend(q, closed, 1, out))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("cache is closed");
  }

  @Test
  void noQueriesAreNoWork() {
    Tensor before = scope.allocate(DType.F32, 3, 4, 8);
    CacheAttention.best().attend(q.narrow(0, 0, 0), cache, 1, out.narrow(0, 0, 0));
    assertThat(out.toFloats()).isEqualTo(before.toFloats());
  }
}

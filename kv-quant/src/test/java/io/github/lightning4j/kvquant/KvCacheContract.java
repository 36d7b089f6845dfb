package io.github.lightning4j.kvquant;

import static io.github.lightning4j.kvquant.CacheContents.DIM;
import static io.github.lightning4j.kvquant.CacheContents.HEADS;
import static io.github.lightning4j.kvquant.CacheContents.append;
import static io.github.lightning4j.kvquant.CacheContents.contents;
import static io.github.lightning4j.kvquant.CacheContents.rounded;
import static io.github.lightning4j.kvquant.CacheContents.tokens;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.Arrays;
import java.util.Collections;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a {@link KvCache} must do, whichever kernels fill its pages. */
abstract class KvCacheContract {
  private long liveBefore;

  abstract Backend backend();

  @BeforeEach
  void rememberMemory() {
    liveBefore = Memory.liveBytes();
  }

  @AfterEach
  void everythingWasFreed() {
    assertThat(Memory.liveBytes()).isEqualTo(liveBefore);
  }

  private KvCache create(DType dtype) {
    return KvCache.create(HEADS, DIM, dtype, backend());
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void givesBackWhatWasAppendedRoundedToNearestEven(DType dtype) {
    for (int length : Cases.AWKWARD) {
      for (int dim : new int[] {1, 3, 6, 8, 16, 64, 128, 256}) {
        try (MemoryScope scope = new MemoryScope()) {
          KvCache cache = scope.add(KvCache.create(HEADS, dim, dtype, backend()));
          Tensor both = scope.add(Cases.normal(length + dim, DType.F32, 2, length, HEADS, dim));
          cache.append(both.select(0, 0), both.select(0, 1));
          assertThat(contents(cache)).isEqualTo(rounded(both.toFloats(), dtype));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void roundsTiesAndExtremesAsTheFormatSays(DType dtype) {
    float[] hard = {
      1.00390625f, // a tie between two bf16 values, down to even
      1.01171875f, // and one up to even
      1.00048828125f, // a tie between two fp16 values
      65519.996f, // the largest float that fp16 rounds to a finite value
      65520f, // and the least that it does not
      -3.4e38f,
      1e-7f, // subnormal in fp16
      -1e-45f,
      -0f,
      Float.POSITIVE_INFINITY,
      Float.NEGATIVE_INFINITY,
      Float.NaN
    };
    try (MemoryScope scope = new MemoryScope()) {
      KvCache cache = scope.add(create(dtype));
      Tensor both = scope.add(Tensor.of(Arrays.copyOf(hard, 24), 2, 1, HEADS, DIM));
      cache.append(both.select(0, 0), both.select(0, 1));
      assertThat(contents(cache)).isEqualTo(rounded(both.toFloats(), dtype));
    }
  }

  @Test
  void takesAndGivesAnyStridesOfTokenAndHead() {
    try (MemoryScope scope = new MemoryScope()) {
      KvCache cache = scope.add(create(DType.F32));
      // The [T, heads, 3 * dim] rows of a fused projection, and heads before tokens.
      Tensor fused = scope.add(Cases.normal(1, DType.F32, 70, HEADS, 3 * DIM));
      Tensor headsFirst = scope.add(Cases.normal(2, DType.F32, HEADS, 70, DIM));
      Tensor k = fused.narrow(2, DIM, DIM);
      Tensor v = headsFirst.strided(0, new long[] {70, HEADS, DIM}, new long[] {DIM, 70 * DIM, 1});
      cache.append(k, v);
      Tensor outK = scope.allocate(DType.F32, 70, HEADS, DIM + 5).narrow(2, 5, DIM);
      Tensor outV = scope.allocate(DType.F32, 70, HEADS, DIM);
      cache.read(outK, outV);
      assertThat(outK.toFloats()).isEqualTo(k.toFloats());
      assertThat(outV.toFloats()).isEqualTo(v.toFloats());
    }
  }

  @Test
  void doesNotCareHowTokensWereCutIntoAppends() {
    try (MemoryScope scope = new MemoryScope()) {
      KvCache whole = scope.add(create(DType.BF16));
      KvCache pieces = scope.add(create(DType.BF16));
      Tensor k = tokens(scope, 3, 300);
      Tensor v = tokens(scope, 4, 300);
      whole.append(k, v);
      long at = 0;
      for (long count : new long[] {0, 1, 62, 1, 1, 63, 0, 65, 100, 7}) {
        pieces.append(k.narrow(0, at, count), v.narrow(0, at, count));
        at += count;
      }
      assertThat(pieces.length()).isEqualTo(300);
      assertThat(contents(pieces)).isEqualTo(contents(whole));
    }
  }

  @Test
  void countsTheBytesOfItsPages() {
    long page = 64 * 2 * HEADS * 16 * 2; // headDim 6 is padded to 16
    try (KvCache cache = create(DType.BF16)) {
      assertThat(cache.bytes()).isZero();
      append(cache, 1, 64);
      assertThat(cache.bytes()).isEqualTo(page);
      append(cache, 2, 1);
      assertThat(cache.bytes()).isEqualTo(2 * page);
      long live = Memory.liveBytes();
      try (KvCache fork = cache.fork()) {
        assertThat(fork.bytes()).isEqualTo(2 * page);
        assertThat(Memory.liveBytes() - live).isLessThan(page); // addresses only
        append(fork, 3, 1);
        assertThat(fork.bytes()).isEqualTo(2 * page);
        assertThat(Memory.liveBytes() - live).isBetween(page, 2 * page); // one page was copied
      }
      assertThat(Memory.liveBytes()).isEqualTo(live);
    }
  }

  @Test
  void forksGoTheirOwnWays() {
    for (int length : new int[] {1, 63, 64, 65, 130}) {
      try (MemoryScope scope = new MemoryScope()) {
        KvCache cache = scope.add(create(DType.F32));
        append(cache, 1, length);
        KvCache fork = scope.add(cache.fork());
        KvCache late = scope.add(fork.fork());
        append(cache, 10, 5);
        append(fork, 20, 70);
        append(late, 30, 3);
        assertThat(contents(cache)).isEqualTo(fresh(scope, length, 10, 5));
        assertThat(contents(fork)).isEqualTo(fresh(scope, length, 20, 70));
        assertThat(contents(late)).isEqualTo(fresh(scope, length, 30, 3));
      }
    }
  }

  /** The contents of a cache that was never shared. */
  private float[] fresh(MemoryScope scope, long length, long seed, long more) {
    KvCache cache = scope.add(create(DType.F32));
    append(cache, 1, length);
    append(cache, seed, more);
    return contents(cache);
  }

  @Test
  void forksCloseInAnyOrder() {
    for (int order = 0; order < 6; order++) {
      KvCache first = create(DType.F32);
      append(first, 1, 100);
      KvCache second = first.fork();
      KvCache third = second.fork();
      append(second, 2, 100);
      var caches = Arrays.asList(first, second, third);
      Collections.rotate(caches, order % 3);
      if (order >= 3) {
        Collections.reverse(caches);
      }
      float[] last = contents(caches.get(2));
      caches.get(0).close();
      caches.get(1).close();
      assertThat(contents(caches.get(2))).isEqualTo(last);
      caches.get(2).close();
      assertThat(Memory.liveBytes()).isEqualTo(liveBefore);
    }
  }

  @Test
  void truncatesAndGoesOn() {
    for (int kept : new int[] {0, 1, 63, 64, 65, 128, 199, 200}) {
      try (MemoryScope scope = new MemoryScope()) {
        KvCache cache = scope.add(create(DType.F32));
        append(cache, 1, 200);
        float[] before = contents(cache);
        KvCache fork = scope.add(cache.fork());
        cache.truncate(kept);
        assertThat(cache.length()).isEqualTo(kept);
        assertThat(cache.bytes()).isEqualTo((kept + 63) / 64 * (64L * 2 * HEADS * 16 * 4));
        append(cache, 5, 3);
        float[] after = contents(cache);
        int row = HEADS * DIM;
        assertThat(Arrays.copyOf(after, kept * row)).isEqualTo(Arrays.copyOf(before, kept * row));
        assertThat(Arrays.copyOfRange(after, kept * row, (kept + 3) * row))
            .isEqualTo(tokens(scope, 5, 3).toFloats());
        assertThat(contents(fork)).isEqualTo(before);
      }
    }
  }

  @Test
  void aFailedAppendLeavesTheCacheAsItWas() {
    try (MemoryScope scope = new MemoryScope()) {
      KvCache cache = scope.add(create(DType.F32));
      append(cache, 1, 70);
      KvCache fork = scope.add(cache.fork());
      float[] before = contents(cache);
      long bytes = cache.bytes();
      Tensor k = tokens(scope, 2, 200);
      Tensor closed = Tensor.allocate(DType.F32, 200, HEADS, DIM);
      closed.close();
      assertThatThrownBy(() -> cache.append(k, closed)).isInstanceOf(IllegalStateException.class);
      assertThat(cache.length()).isEqualTo(70);
      assertThat(cache.bytes()).isEqualTo(bytes);
      assertThat(contents(cache)).isEqualTo(before);
      append(cache, 3, 200);
      assertThat(cache.length()).isEqualTo(270);
      assertThat(contents(fork)).isEqualTo(before);
    }
  }

  @Test
  void tellsWhenThereIsNoMemoryForAPage() {
    try (MemoryScope scope = new MemoryScope()) {
      int heads = Integer.MAX_VALUE; // a page of 2^48 bytes is beyond any address space
      KvCache cache = scope.add(KvCache.create(heads, 256, DType.F32, backend()));
      Tensor head = scope.allocate(DType.F32, 256);
      Tensor k = head.strided(0, new long[] {1, heads, 256}, new long[] {0, 0, 1});
      assertThatThrownBy(() -> cache.append(k, k)).isInstanceOf(OutOfNativeMemoryException.class);
      assertThat(cache.length()).isZero();
      assertThat(cache.bytes()).isZero();
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor k = tokens(scope, 1, 70);
      FlatMemory.assertFlat(
          "append, fork, append, truncate, close",
          1_000,
          () -> {
            try (KvCache cache = create(DType.F16)) {
              cache.append(k, k);
              try (KvCache fork = cache.fork()) {
                fork.append(k, k);
                fork.truncate(65);
              }
            }
          });
    }
  }

  @Test
  void refusesUseAfterClosing() {
    KvCache cache = create(DType.F32);
    append(cache, 1, 2);
    cache.close();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor k = tokens(scope, 1, 2);
      for (Runnable use :
          new Runnable[] {
            () -> cache.append(k, k),
            () -> cache.read(k, k),
            () -> cache.truncate(0),
            cache::trim,
            cache::fork,
            cache::length,
            cache::bytes,
            cache::close
          }) {
        assertThatThrownBy(use::run)
            .isInstanceOf(IllegalStateException.class)
            .hasMessage("cache is closed");
      }
    }
    assertThat(cache.kvHeads()).isEqualTo(HEADS);
    assertThat(cache.headDim()).isEqualTo(DIM);
    assertThat(cache.dtype()).isEqualTo(DType.F32);
  }
}

package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Who has which page, and that the GPU is told. */
@RequiresCuda
final class CudaKvPagesDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  private long[] row(CudaKvPages pages, int sequence) {
    pages.publish(gpu.stream());
    return gpu.down(pages.table().select(0, sequence)).toLongs();
  }

  @Test
  void givesPagesOutAndTakesThemBack() {
    try (CudaKvPages pages = CudaKvPages.create(gpu.device(), 2, 200, 5)) {
      assertThat(pages.tokensEach()).isEqualTo(256);
      assertThat(row(pages, 1)).containsExactly(-1, -1, -1, -1);
      pages.reserve(0, 64);
      pages.reserve(1, 65);
      pages.reserve(1, 10);
      assertThat(row(pages, 0)).containsExactly(0, -1, -1, -1);
      assertThat(row(pages, 1)).containsExactly(1, 2, -1, -1);
      assertThat(pages.freePages()).isEqualTo(2);
      pages.reserve(1, 200);
      assertThat(pages.freePages()).isZero();
      pages.dropBefore(1, 130);
      assertThat(row(pages, 1)).containsExactly(-1, -1, 3, 4);
      pages.release(1);
      assertThat(row(pages, 1)).containsOnly(-1);
      assertThat(pages.freePages()).isEqualTo(4);
      pages.reserve(0, 256);
      assertThat(row(pages, 0)).doesNotHaveDuplicates().doesNotContain(-1L);
    }
  }

  @Test
  void givesNoneOutForTokensThatWereDroppedBefore() {
    try (CudaKvPages pages = CudaKvPages.create(gpu.device(), 2, 200, 2)) {
      pages.dropBefore(0, 130);
      assertThat(pages.fits(0, 256)).isTrue();
      assertThat(pages.fits(1, 129)).isFalse();
      assertThat(pages.fits(0, 257)).isFalse();
      pages.reserve(0, 200);
      assertThat(row(pages, 0)).containsExactly(-1, -1, 0, 1);
      assertThat(pages.fits(0, 100)).isTrue();
      pages.dropBefore(0, 999);
      assertThat(pages.freePages()).isEqualTo(2);
      pages.release(0);
      pages.reserve(0, 65);
      assertThat(row(pages, 0)).containsExactly(1, 0, -1, -1);
    }
  }

  @Test
  void sharedPagesAreFreeOnceTheirLastHolderHasLetGo() {
    try (CudaKvPages pages = CudaKvPages.create(gpu.device(), 3, 256, 5)) {
      pages.reserve(0, 200);
      pages.dropBefore(0, 64);
      assertThat(pages.freePages()).isEqualTo(2);
      pages.share(0, 1, 200);
      assertThat(row(pages, 1)).containsExactly(-1, 1, 2, -1);
      pages.share(1, 2, 100); // page 1 is not full of the first 100
      assertThat(row(pages, 2)).containsOnly(-1);
      pages.reserve(2, 100);
      assertThat(row(pages, 2)).doesNotContain(1L, 2L);
      assertThatThrownBy(() -> pages.share(0, 1, 200))
          .hasMessage("to: expected another sequence, without pages, got 1");
      pages.release(2);
      pages.release(0);
      assertThat(pages.freePages()).isEqualTo(3);
      pages.reserve(0, 192);
      assertThat(row(pages, 0)).doesNotContain(1L, 2L);
      pages.release(1);
      assertThat(pages.freePages()).isEqualTo(2);
    }
  }

  @Test
  void saysWhenThereAreNoPagesLeft() {
    try (CudaKvPages pages = CudaKvPages.create(gpu.device(), 2, 200, 3);
        CudaKvCache cache = CudaKvCache.create(pages, KvCacheConfig.exact(1, 32, DType.BF16));
        CudaKvCache other = CudaKvCache.create(pages, KvCacheConfig.exact(1, 64, DType.BF16))) {
      assertThat(cache.bytes() + other.bytes()).isEqualTo(3 * 64 * 2 * 96 * 2);
      pages.reserve(0, 100);
      assertThatThrownBy(() -> pages.reserve(1, 128))
          .isInstanceOf(PageBudgetException.class)
          .hasMessageContaining("49152 bytes needed, 49152 of 73728 used");
      assertThat(pages.freePages()).isEqualTo(1);
      assertThatThrownBy(() -> pages.reserve(0, 257))
          .hasMessage("tokens: expected 0 to 256, got 257");
      assertThatThrownBy(() -> pages.reserve(2, 1))
          .hasMessage("sequence: expected 0 <= sequence < 2, got 2");
    }
  }

  @Test
  void leavesNothingBehind() {
    long before = CudaMemory.liveBytes();
    CudaKvPages pages = CudaKvPages.create(gpu.device(), 2, 200, 3);
    CudaKvCache cache = CudaKvCache.create(pages, KvCacheConfig.exact(1, 32, DType.BF16));
    cache.close();
    pages.close();
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
    assertThatThrownBy(cache::bytes).hasMessage("cache is closed");
    assertThatThrownBy(() -> pages.reserve(0, 1)).hasMessage("pages are closed");
  }
}

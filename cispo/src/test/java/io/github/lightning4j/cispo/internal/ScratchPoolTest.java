package io.github.lightning4j.cispo.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Threads;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class ScratchPoolTest {
  @ParameterizedTest
  @ValueSource(longs = {1, 29, 30, 31, 59, 61, 640, 10_007})
  void noMoreRangesThanPieces(long units) {
    assertThat(ScratchPool.grain(units, 1)).isEqualTo(1);
    assertThat(ScratchPool.grain(units, ScratchPool.MOST)).isEqualTo(1);
    for (int threads : new int[] {31, 64, Threads.MAX}) {
      long grain = ScratchPool.grain(units, threads);
      assertThat((units + grain - 1) / grain).isBetween(1L, (long) ScratchPool.MOST);
    }
  }

  /** All of a call: the larger of both passes at 4,096 tokens of 200,064 words. */
  @Test
  void sixtyFourThreadsStayBelow64Mebibytes() {
    assertThat(CpuHead.mostBytes(4096, 200_064, 64)).isBetween(56L << 20, 64L << 20);
    assertThat(CpuHead.mostBytes(4096, 200_064, 2)).isBetween(32L << 20, 36L << 20);
  }

  @Test
  void sixtyFourThreadsShareThirtyPieces() {
    int before = Threads.count();
    Threads.use(64);
    long live = Memory.liveBytes();
    try (ScratchPool pool = new ScratchPool(4096)) {
      Set<Long> pieces = ConcurrentHashMap.newKeySet();
      AtomicLong done = new AtomicLong();
      pool.forUnits(
          640,
          (from, to, scratch) -> {
            pieces.add(scratch);
            LockSupport.parkNanos(20_000_000);
            done.addAndGet(to - from);
          });
      assertThat(done).hasValue(640);
      assertThat(pieces).hasSizeBetween(2, ScratchPool.MOST);
      assertThat(Memory.liveBytes() - live).isLessThanOrEqualTo(4096L * (ScratchPool.MOST + 1));
    } finally {
      Threads.use(before);
    }
  }
}

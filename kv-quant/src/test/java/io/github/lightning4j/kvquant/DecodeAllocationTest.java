package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.lang.management.ManagementFactory;
import org.junit.jupiter.api.Test;

/** A step of decode takes nothing from the heap, and outside it only the page it fills. */
final class DecodeAllocationTest {
  private static final int STEPS = 40;

  @Test
  void aStepWithinAPageAllocatesNothing() {
    assumeTrue(
        KvQuantKernels.library().availability().isAvailable(), KvQuantKernels.library().toString());
    KvCacheConfig config =
        QuantizedScene.rotated(2, 128, QuantizedScene.LLOYD_MAX)
            .withTokens(TokenPolicy.NONE.withFirstTokens(4).withRecentWindow(64, 1));
    int threads = Threads.count();
    Threads.use(1); // the pool itself makes a job of each call that it splits
    try (QuantizedScene scene = new QuantizedScene(config, 1, 4);
        KvCache cache = KvCache.create(config);
        Tensor out = Tensor.allocate(DType.F32, 1, 8, 128)) {
      CacheAttention attention = CacheAttention.best();
      // Whole pages, until the compiler has taken over.
      for (int i = 0; i < 64 * 640; i++) {
        step(scene, cache, attention, out);
        if (cache.length() == 1024) {
          cache.truncate(256);
        }
      }
      while (cache.length() % 64 != 10) {
        step(scene, cache, attention, out);
      }
      var bean = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long live = Memory.liveBytes();
      long before = bean.getCurrentThreadAllocatedBytes();
      long nothing = bean.getCurrentThreadAllocatedBytes() - before;
      before = bean.getCurrentThreadAllocatedBytes();
      for (int i = 0; i < STEPS; i++) {
        step(scene, cache, attention, out);
      }
      long taken = bean.getCurrentThreadAllocatedBytes() - before - nothing;
      assertThat(taken).as("bytes of the heap in %s steps", STEPS).isZero();
      assertThat(Memory.liveBytes()).isEqualTo(live);
    } finally {
      Threads.use(threads);
    }
  }

  private static void step(
      QuantizedScene scene, KvCache cache, CacheAttention attention, Tensor out) {
    cache.append(scene.k, scene.v);
    attention.attend(scene.q, cache, scene.scale, out);
  }
}

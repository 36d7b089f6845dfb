package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Pieces of prompts on a GPU against the reference. */
@RequiresCuda
final class CudaPrefillDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  /** Attends with the last {@code counts[i]} tokens of each sequence, against the reference. */
  private void check(CudaScene scene, DType type, int group, int[] counts) {
    scene.fill();
    int n = counts.length;
    int[] offsets = new int[n + 1];
    int[] starts = new int[n];
    int[] sequences = new int[n];
    for (int i = 0; i < n; i++) {
      sequences[i] = i;
      starts[i] = scene.lengths[i] - counts[i];
      offsets[i + 1] = offsets[i] + counts[i];
    }
    int heads = scene.config.kvHeads() * group;
    Tensor q = gpu.normal(3, type, offsets[n], heads, scene.config.headDim());
    Tensor out = gpu.allocate(type, q.shape());
    CudaCacheAttention.on(gpu.stream())
        .prefill(
            q,
            scene.cache,
            CudaKvRows.packed(scene.ints(sequences), scene.ints(starts), scene.ints(offsets)),
            0.3f,
            out);
    Tensor queries = gpu.down(q);
    for (int i = 0; i < n; i++) {
      if (counts[i] > 0) {
        double[] found = gpu.down(out.narrow(0, offsets[i], counts[i])).toDoubles();
        double[] expected = scene.attended(queries.narrow(0, offsets[i], counts[i]), i, 0.3f);
        Closeness.assertNmse("piece " + i, found, expected, 2e-5);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "BF16, 1, 1, 32",
    "BF16, 2, 2, 64",
    "F32, 1, 3, 64",
    "F16, 1, 5, 32",
    "BF16, 1, 8, 128"
  })
  void attendsFromPiecesOfUnevenLengths(DType type, int kvHeads, int group, int dim) {
    KvCacheConfig config = KvCacheConfig.exact(kvHeads, dim, DType.BF16);
    try (CudaScene scene = new CudaScene(gpu, config, 1, 63, 64, 65, 10, 140)) {
      check(scene, type, group, new int[] {1, 63, 7, 65, 0, 33});
    }
  }

  @Test
  void attendsOverManyPagesAndBlocks() {
    KvCacheConfig config = KvCacheConfig.exact(1, 32, DType.BF16);
    try (CudaScene scene = new CudaScene(gpu, config, 300)) {
      check(scene, DType.BF16, 2, new int[] {300});
    }
  }

  @Test
  void leavesOthersAloneAndMakesPiecesOfNoSequenceZero() {
    KvCacheConfig config = KvCacheConfig.exact(1, 32, DType.BF16);
    try (CudaScene scene = new CudaScene(gpu, config, 70)) {
      scene.fill();
      Tensor q = gpu.normal(3, DType.BF16, 12, 2, 32);
      Tensor out = gpu.normal(4, DType.F32, 12, 2, 32);
      float[] before = gpu.down(out).toFloats();
      Tensor offsets = scene.ints(0, 5, 9);
      CudaKvRows rows = CudaKvRows.packed(scene.ints(-1, 0), scene.ints(0, 66), offsets);
      CudaCacheAttention.on(gpu.stream()).prefill(q, scene.cache, rows, 0.3f, out);
      assertThat(gpu.down(out.narrow(0, 0, 5)).toFloats()).containsOnly(0);
      float[] after = gpu.down(out).toFloats();
      for (int i = 9 * 64; i < 12 * 64; i++) {
        assertThat(after[i]).isEqualTo(before[i]);
      }
      CudaCacheAttention.on(gpu.stream()).prefill(q, scene.cache, rows, 0.3f, out);
      assertThat(gpu.down(out).toFloats()).isEqualTo(after);
    }
  }

  @Test
  void makesRowsWithoutAPageNan() {
    KvCacheConfig config = KvCacheConfig.exact(1, 32, DType.BF16);
    try (CudaScene scene = new CudaScene(gpu, config, 100)) {
      scene.fill();
      scene.pages.release(0);
      scene.pages.reserve(0, 64);
      scene.pages.publish(gpu.stream());
      Tensor q = gpu.normal(3, DType.BF16, 2, 1, 32);
      Tensor out = gpu.allocate(DType.F32, 2, 1, 32);
      CudaKvRows rows = CudaKvRows.packed(scene.ints(0), scene.ints(63), scene.ints(0, 2));
      CudaCacheAttention.on(gpu.stream()).prefill(q, scene.cache, rows, 0.3f, out);
      assertThat(gpu.down(out.select(0, 0)).toFloats()).doesNotContain(Float.NaN);
      assertThat(gpu.down(out.select(0, 1)).toFloats()).containsOnly(Float.NaN);
    }
  }
}

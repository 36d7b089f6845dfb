package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Decode steps over exact pages on a GPU against the reference. */
@RequiresCuda
final class CudaDecodeDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  private static KvCacheConfig config(int kvHeads, int dim) {
    return KvCacheConfig.exact(kvHeads, dim, DType.BF16);
  }

  private Tensor scratch(CudaKvCache cache, Tensor q) {
    CudaCacheAttention attention = CudaCacheAttention.on(gpu.stream());
    return gpu.allocate(DType.F32, attention.scratchElements(cache, q.size(0), q.size(1)));
  }

  private Tensor decode(CudaScene scene, Tensor q, Tensor sequences, Tensor positions) {
    Tensor out = gpu.allocate(DType.F32, q.shape());
    CudaCacheAttention.on(gpu.stream())
        .decode(q, scene.cache, sequences, positions, 0.3f, scratch(scene.cache, q), out);
    return out;
  }

  @Test
  void copiesReadAsTheirOriginals() {
    try (CudaScene scene = new CudaScene(gpu, config(2, 32), 130, 0)) {
      scene.fill();
      assertThatThrownBy(() -> scene.cache.copy(gpu.stream(), 0, 1, 130))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("page 0 is missing");
      scene.reserve(1, 130);
      scene.publish();
      scene.cache.copy(gpu.stream(), 0, 1, 130);
      Tensor q = gpu.normal(3, DType.BF16, 1, 4, 32);
      double[] original = gpu.doubles(decode(scene, q, scene.ints(0), scene.ints(129)));
      scene.pages.release(0);
      scene.publish();
      assertThat(gpu.doubles(decode(scene, q, scene.ints(1), scene.ints(129)))).isEqualTo(original);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "BF16, 1, 1, 32",
    "BF16, 2, 2, 64",
    "BF16, 1, 3, 128",
    "F32, 2, 8, 64",
    "F16, 1, 9, 32",
    "BF16, 1, 8, 128"
  })
  void attendsToSequencesOfUnevenLengths(DType type, int kvHeads, int group, int dim) {
    try (CudaScene scene = new CudaScene(gpu, config(kvHeads, dim), 1, 63, 64, 65, 0, 17, 700)) {
      scene.fill();
      int rows = scene.lengths.length;
      int[] positions = new int[rows];
      int[] sequences = new int[rows];
      for (int i = 0; i < rows; i++) {
        positions[i] = scene.lengths[i] - 1;
        sequences[i] = scene.lengths[i] == 0 ? -1 : i;
      }
      Tensor q = gpu.normal(3, type, rows, kvHeads * group, dim);
      Tensor out = decode(scene, q, scene.ints(sequences), scene.ints(positions));
      Tensor queries = gpu.down(q);
      for (int i = 0; i < rows; i++) {
        double[] found = gpu.down(out.select(0, i)).toDoubles();
        if (scene.lengths[i] == 0) {
          assertThat(found).containsOnly(0);
        } else {
          double[] expected = scene.attended(queries.narrow(0, i, 1), i, 0.3f);
          // Weights are rounded to bf16, and queries of other types.
          double limit = type == DType.BF16 ? 5e-6 : 2e-5;
          Closeness.assertNmse("length " + scene.lengths[i], found, expected, limit);
        }
      }
    }
  }

  @Test
  void goesOnInOneGraphWhilePagesComeAndPositionsRise() {
    int steps = 70;
    try (CudaScene scene = new CudaScene(gpu, config(2, 32), steps, steps)) {
      Tensor q = gpu.normal(3, DType.BF16, 2, 4, 32);
      Tensor k = gpu.allocate(DType.BF16, 2, 2, 32);
      Tensor v = gpu.allocate(DType.BF16, 2, 2, 32);
      Tensor sequences = scene.ints(1, 0);
      Tensor positions = scene.ints(0, 0);
      Tensor out = gpu.allocate(DType.BF16, 2, 4, 32);
      Tensor scratch = scratch(scene.cache, q);
      CudaCacheAttention attention = CudaCacheAttention.on(gpu.stream());
      Runnable step =
          () -> {
            scene.cache.append(gpu.stream(), k, v, CudaKvRows.decode(sequences, positions));
            attention.decode(q, scene.cache, sequences, positions, 0.3f, scratch, out);
          };
      scene.pages.publish(gpu.stream());
      step.run();
      gpu.stream().synchronize();
      try (CudaGraph graph = CudaGraph.capture(gpu.stream(), step)) {
        long before = Memory.liveBytes();
        for (int at = 0; at < steps; at++) {
          for (int row = 0; row < 2; row++) {
            scene.pages.reserve(row, at + 1);
            int token = scene.first(1 - row) + at;
            gpu.stream().copy(scene.k.select(0, token), k.select(0, row));
            gpu.stream().copy(scene.v.select(0, token), v.select(0, row));
          }
          scene.pages.publish(gpu.stream());
          try (Tensor host = Tensor.of(new int[] {at, at}, 2)) {
            gpu.stream().copy(host, positions);
            graph.launch(gpu.stream());
            gpu.stream().synchronize();
          }
        }
        assertThat(Memory.liveBytes()).isEqualTo(before);
      }
      scene.reference(0, 0, steps);
      scene.reference(1, 0, steps);
      Tensor queries = gpu.down(q);
      for (int row = 0; row < 2; row++) {
        double[] expected = scene.attended(queries.narrow(0, row, 1), 1 - row, 0.3f);
        double[] found = gpu.down(out.select(0, row)).toDoubles();
        Closeness.assertNmse("row " + row, found, expected, 2e-5);
      }
    }
  }

  @Test
  void givesTheSameBitsAgainWhateverLiesBehindTheLength() {
    try (CudaScene scene = new CudaScene(gpu, config(1, 64), 330)) {
      scene.fill();
      Tensor q = gpu.normal(3, DType.BF16, 1, 8, 64);
      Tensor at = scene.ints(299);
      Tensor sequences = scene.ints(0);
      float[] before = gpu.down(decode(scene, q, sequences, at)).toFloats();
      Tensor poison = scene.scope.allocate(DType.F32, 30, 1, 64);
      for (int i = 0; i < 30 * 64; i++) {
        poison.accessor().set(i, Double.NaN);
      }
      Tensor nan = scene.there(poison);
      CudaKvRows behind = CudaKvRows.packed(sequences, scene.ints(300), scene.ints(0, 30));
      scene.cache.append(gpu.stream(), nan, nan, behind);
      assertThat(gpu.down(decode(scene, q, sequences, at)).toFloats()).isEqualTo(before);
    }
  }

  @Test
  void showsNanWhereItIsSeen() {
    try (CudaScene scene = new CudaScene(gpu, config(2, 32), 80)) {
      scene.v.accessor().set((40 * 2 + 1) * 32 + 5, Double.NaN); // head 1, channel 5
      scene.fill();
      Tensor q = gpu.normal(3, DType.BF16, 1, 4, 32);
      float[] out = gpu.down(decode(scene, q, scene.ints(0), scene.ints(79))).toFloats();
      for (int i = 0; i < out.length; i++) {
        assertThat(Float.isNaN(out[i])).as("channel %s", i).isEqualTo(i >= 64 && i % 32 == 5);
      }
      scene.k.accessor().set(30 * 64 + 3, Double.POSITIVE_INFINITY); // head 0
      scene.k.accessor().set(31 * 64 + 3, Double.NEGATIVE_INFINITY);
      scene.fill();
      out = gpu.down(decode(scene, q, scene.ints(0), scene.ints(79))).toFloats();
      for (int i = 0; i < 64; i++) {
        assertThat(out[i]).as("channel %s", i).isNaN();
      }
    }
  }

  @Test
  void makesRowsWithoutAPageNan() {
    try (CudaScene scene = new CudaScene(gpu, config(1, 32), 100)) {
      scene.fill();
      scene.pages.release(0);
      scene.pages.reserve(0, 64);
      scene.pages.publish(gpu.stream());
      Tensor q = gpu.normal(3, DType.BF16, 1, 1, 32);
      assertThat(gpu.down(decode(scene, q, scene.ints(0), scene.ints(64))).toFloats())
          .containsOnly(Float.NaN);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (CudaScene scene = new CudaScene(gpu, config(2, 32), 10)) {
      scene.fill();
      Tensor q = gpu.normal(3, DType.BF16, 1, 3, 32);
      Tensor one = scene.ints(0);
      assertThatThrownBy(() -> decode(scene, q, one, one))
          .hasMessage("q: expected a multiple of 2 kv heads, got 3 heads");
      Tensor fine = gpu.normal(3, DType.BF16, 1, 4, 32);
      Tensor small = gpu.allocate(DType.F32, 3);
      assertThatThrownBy(
              () ->
                  CudaCacheAttention.on(gpu.stream())
                      .decode(fine, scene.cache, one, one, 1, small, fine))
          .hasMessageMatching("scratch: expected at least \\d+ elements, got 3");
      Tensor shifted = gpu.allocate(DType.F32, 10_001).narrow(0, 1, 10_000);
      Tensor out = gpu.allocate(DType.F32, 1, 4, 32);
      assertThatThrownBy(
              () ->
                  CudaCacheAttention.on(gpu.stream())
                      .decode(fine, scene.cache, one, one, 1, shifted, out))
          .hasMessageContaining("scratch: expected memory from a multiple of 16 bytes on");
      assertThatThrownBy(() -> decode(scene, fine, one, scene.ints(0, 1)))
          .hasMessage("starts: expected shape [1], got [2]");
      Tensor host = scene.k.narrow(0, 0, 1);
      CudaKvRows rows = CudaKvRows.decode(one, one);
      assertThatThrownBy(() -> scene.cache.append(gpu.stream(), host, host, rows))
          .hasMessageContaining("k: expected a tensor on cuda:0, as the stream is");
    }
    assertThatThrownBy(
            () -> {
              try (CudaKvPages pages = CudaKvPages.create(gpu.device(), 1, 64, 1)) {
                CudaKvCache.create(pages, config(1, 48));
              }
            })
        .hasMessage("config: expected heads of 32, 64 or 128 channels on a GPU, got 48");
  }
}

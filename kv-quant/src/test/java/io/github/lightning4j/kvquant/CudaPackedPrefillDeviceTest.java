package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Pieces of prompts behind quantized tokens on a GPU against the reference. */
@RequiresCuda
final class CudaPackedPrefillDeviceTest {
  /** Queries, weights, keys and values are rounded to bf16. */
  private static final double BOUND = 5e-5;

  private static final int[] SINKS = {12, 63, 64, 130};

  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  static Stream<KvCacheConfig> formats() {
    TokenPolicy none = TokenPolicy.NONE;
    TokenPolicy window = none.withRecentWindow(16, 1).withFirstTokens(4);
    KvQuantizer eighths =
        KvQuantizer.affine(2, 128, Clip.paper(0.6), ScaleFormat.LOG8, ZeroFormat.FRACTIONAL);
    return Stream.of(
            QuantizedScene.plain(2, 32, QuantizedScene.affine(8, 128)).withTokens(none),
            QuantizedScene.centered(1, 128, QuantizedScene.LLOYD_MAX)
                .withTokens(window.withMassiveActivations(20)),
            QuantizedScene.centered(2, 64, eighths).withTokens(none.withRecentWindow(10, 8)),
            QuantizedScene.grouped(4, 64, 4, QuantizedScene.affine(2, 128))
                .withTokens(none.withMassiveActivations(20)),
            QuantizedScene.grouped(2, 32, 1, QuantizedScene.wide(4, 32)).withTokens(window))
        .map(config -> config.withDtype(DType.BF16));
  }

  /** Sequences whose last {@code counts[i]} tokens are pieces of prompts. */
  private final class Pieces implements AutoCloseable {
    final CudaScene scene;
    final int[] counts;
    final int[] offsets;
    final int[] starts;
    final int[] sequences;

    Pieces(KvCacheConfig config, int[] lengths, int... counts) {
      this.scene = new CudaScene(gpu, config, lengths);
      this.counts = counts;
      int n = lengths.length;
      offsets = new int[n + 1];
      starts = new int[n];
      sequences = IntStream.range(0, n).toArray();
      for (int i = 0; i < n; i++) {
        offsets[i + 1] = offsets[i] + counts[i];
        starts[i] = lengths[i] - counts[i];
        scene.reserve(i, lengths[i]);
        begin(i);
      }
      scene.publish();
      Tensor k = scene.there(scene.k);
      Tensor v = scene.there(scene.v);
      int[] ends = new int[n + 1];
      for (int i = 0; i < n; i++) {
        ends[i + 1] = ends[i] + lengths[i];
        CudaKvRows before =
            CudaKvRows.packed(scene.ints(i), scene.ints(0), scene.ints(0, starts[i]));
        CudaKvRows all = CudaKvRows.packed(scene.ints(i), scene.ints(0), scene.ints(0, lengths[i]));
        scene.cache.append(
            gpu.stream(), k.narrow(0, ends[i], lengths[i]), v.narrow(0, ends[i], lengths[i]), all);
        scene.cache.age(gpu.stream(), before);
      }
    }

    private void begin(int i) {
      scene.cache.begin(gpu.stream(), i);
      boolean keeps = scene.config.tokens().massiveActivations() > 0;
      int[] own = IntStream.of(keeps ? SINKS : new int[0]).filter(s -> s < starts[i]).toArray();
      scene.cache.keep(gpu.stream(), i, own);
      KvCache reference = scene.references.get(i);
      reference.beginPrompt();
      if (starts[i] > 0) {
        scene.reference(i, 0, starts[i]);
      }
      reference.endPrompt(IntStream.of(own).asLongStream().toArray());
      reference.beginPrompt();
      scene.reference(i, starts[i], starts[i] + counts[i]);
    }

    CudaKvRows rows() {
      return CudaKvRows.packed(scene.ints(sequences), scene.ints(starts), scene.ints(offsets));
    }

    int tokens() {
      return offsets[counts.length];
    }

    /** The prompts are over: what they pushed out of the window is read as quantized. */
    void end() {
      scene.references.forEach(KvCache::endPrompt);
      scene.cache.age(gpu.stream(), rows());
    }

    /** Attends and compares with the reference. */
    float[] check(String what, DType type, int group, int... agedLengths) {
      Tensor q =
          gpu.normal(3, type, tokens(), scene.config.kvHeads() * group, scene.config.headDim());
      Tensor out = gpu.allocate(type, q.shape());
      attend(q, scene, rows(), scene.ints(agedLengths), out);
      Tensor queries = gpu.down(q);
      for (int i = 0; i < counts.length; i++) {
        Tensor own = queries.narrow(0, offsets[i], counts[i]);
        double[] found = gpu.down(out.narrow(0, offsets[i], counts[i])).toDoubles();
        Closeness.assertNmse(what + " " + i, found, scene.attended(own, i, 0.2f), BOUND);
      }
      return gpu.down(out).toFloats();
    }

    @Override
    public void close() {
      scene.close();
    }
  }

  private void attend(Tensor q, CudaScene scene, CudaKvRows rows, Tensor agedLengths, Tensor out) {
    CudaCacheAttention attention = CudaCacheAttention.on(gpu.stream());
    long elements = attention.promptScratchElements(scene.cache, q.size(0), q.size(1));
    attention.prefill(
        q, scene.cache, rows, agedLengths, 0.2f, gpu.allocate(DType.F32, elements), out);
  }

  @ParameterizedTest
  @MethodSource("formats")
  void attendsFromPiecesOfUnevenLengths(KvCacheConfig config) {
    try (Pieces pieces = new Pieces(config, new int[] {1, 65, 140}, 1, 11, 7)) {
      pieces.check("inside", DType.BF16, 3, pieces.starts);
      pieces.end();
      int most = Integer.MAX_VALUE;
      pieces.check("behind", DType.BF16, 3, most, most, most);
    }
  }

  static Stream<KvCacheConfig> ofManyPages() {
    TokenPolicy tokens = TokenPolicy.NONE.withRecentWindow(20, 1).withMassiveActivations(20);
    return Stream.of(
        KvCacheConfig.exact(1, 32, DType.BF16), // as guesses are read over caches of bf16
        QuantizedScene.centered(1, 32, QuantizedScene.LLOYD_MAX)
            .withDtype(DType.BF16)
            .withTokens(tokens));
  }

  @ParameterizedTest
  @MethodSource("ofManyPages")
  void joinsSplitsOfManyPages(KvCacheConfig config) {
    try (Pieces pieces = new Pieces(config, new int[] {420, 15}, 17, 15)) {
      assertThat(
              CudaCacheAttention.on(gpu.stream())
                  .promptScratchElements(pieces.scene.cache, pieces.tokens(), 8))
          .as("several splits")
          .isGreaterThanOrEqualTo(2 * pieces.tokens() * 8 * 34);
      float[] inside = pieces.check("inside", DType.F32, 8, pieces.starts);
      pieces.end();
      float[] behind = pieces.check("behind", DType.F32, 8, 1000, 1000);
      assertThat(Arrays.equals(behind, inside)).isEqualTo(config.format() == null);
      assertThat(pieces.check("again", DType.F32, 8, 1000, 1000)).isEqualTo(behind);
    }
  }

  @Test
  void leavesOthersAloneAndSaysWhatIsMissing() {
    KvCacheConfig config =
        QuantizedScene.rotated(1, 32, QuantizedScene.LLOYD_MAX)
            .withDtype(DType.BF16)
            .withTokens(TokenPolicy.NONE.withRecentWindow(8, 1));
    try (CudaScene scene = new CudaScene(gpu, config, 330, 70)) {
      scene.fill();
      Tensor q = gpu.normal(3, DType.BF16, 12, 2, 32);
      Tensor out = gpu.normal(4, DType.F32, 12, 2, 32);
      float[] before = gpu.down(out).toFloats();
      CudaKvRows rows =
          CudaKvRows.packed(scene.ints(-1, 0), scene.ints(0, 326), scene.ints(0, 5, 9));
      Tensor lengths = scene.ints(0, 330);
      attend(q, scene, rows, lengths, out);
      assertThat(gpu.down(out.narrow(0, 0, 5)).toFloats()).containsOnly(0);
      assertThat(gpu.down(out.narrow(0, 5, 4)).toFloats()).doesNotContain(Float.NaN);
      float[] after = gpu.down(out).toFloats();
      for (int i = 9 * 64; i < 12 * 64; i++) {
        assertThat(after[i]).isEqualTo(before[i]);
      }
      scene.aged.release(0);
      scene.aged.reserve(0, 64);
      scene.publish();
      attend(q, scene, rows, lengths, out);
      assertThat(gpu.down(out.narrow(0, 5, 4)).toFloats()).containsOnly(Float.NaN);
      Tensor few = gpu.allocate(DType.F32, 1);
      assertThatThrownBy(
              () ->
                  CudaCacheAttention.on(gpu.stream())
                      .prefill(q, scene.cache, rows, lengths, 0.2f, few, out))
          .hasMessageContaining("scratch: expected at least");
    }
  }
}

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
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Decode steps over quantized tokens, the window and sinks on a GPU against the reference. */
@RequiresCuda
final class CudaQuantizedDeviceTest {
  private static final KvQuantizer LLOYD_MAX = QuantizedScene.LLOYD_MAX;

  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  private static KvCacheConfig with(KvCacheConfig config, TokenPolicy tokens) {
    return config.withDtype(DType.BF16).withTokens(tokens);
  }

  static Stream<KvCacheConfig> formats() {
    TokenPolicy none = TokenPolicy.NONE;
    TokenPolicy window = none.withRecentWindow(16, 1).withFirstTokens(4);
    KvQuantizer eighths =
        KvQuantizer.affine(2, 128, Clip.paper(0.6), ScaleFormat.LOG8, ZeroFormat.FRACTIONAL);
    return Stream.of(
        with(QuantizedScene.plain(1, 128, QuantizedScene.affine(2, 128)), none),
        with(QuantizedScene.rotated(1, 128, LLOYD_MAX), window),
        with(QuantizedScene.rotated(2, 32, LLOYD_MAX), none),
        with(QuantizedScene.rotated(1, 64, QuantizedScene.wide(4, 128)), window),
        with(QuantizedScene.plain(1, 32, QuantizedScene.affine(4, 64)), none),
        with(QuantizedScene.rotated(1, 128, QuantizedScene.affine(8, 128)), none),
        with(QuantizedScene.plain(2, 32, QuantizedScene.wide(8, 32)), window),
        with(QuantizedScene.centered(1, 128, LLOYD_MAX), window.withMassiveActivations(20)),
        with(QuantizedScene.centered(2, 64, eighths), none.withRecentWindow(10, 8)),
        with(QuantizedScene.centered(1, 32, LLOYD_MAX), none.withMassiveActivations(20)),
        with(
            QuantizedScene.grouped(4, 64, 4, QuantizedScene.affine(2, 128)),
            none.withMassiveActivations(20)),
        with(QuantizedScene.grouped(2, 32, 1, QuantizedScene.wide(4, 32)), window));
  }

  private Tensor decode(CudaScene scene, Tensor q, Tensor sequences, Tensor positions) {
    Tensor out = gpu.allocate(DType.F32, q.shape());
    CudaCacheAttention attention = CudaCacheAttention.on(gpu.stream());
    Tensor scratch =
        gpu.allocate(DType.F32, attention.scratchElements(scene.cache, q.size(0), q.size(1)));
    attention.decode(q, scene.cache, sequences, positions, 0.2f, scratch, out);
    return out;
  }

  @ParameterizedTest
  @MethodSource("formats")
  void attendsToTokensOfEveryKind(KvCacheConfig config) {
    try (CudaScene scene = new CudaScene(gpu, config, 1, 65, 17, 300)) {
      boolean keeps = config.tokens().massiveActivations() > 0;
      scene.fill(keeps ? new int[] {12, 63, 64, 130} : new int[0]);
      int rows = scene.lengths.length;
      int[] positions = new int[rows];
      int[] sequences = new int[rows];
      for (int i = 0; i < rows; i++) {
        positions[i] = scene.lengths[i] - 1;
        sequences[i] = i;
      }
      Tensor q = gpu.normal(3, DType.BF16, rows, 3L * config.kvHeads(), config.headDim());
      Tensor out = decode(scene, q, scene.ints(sequences), scene.ints(positions));
      Tensor queries = gpu.down(q);
      for (int i = 0; i < rows; i++) {
        double[] found = gpu.down(out.select(0, i)).toDoubles();
        double[] expected = scene.attended(queries.narrow(0, i, 1), i, 0.2f);
        Closeness.assertNmse("length " + scene.lengths[i], found, expected, 5e-5);
      }
    }
  }

  @Test
  void goesOnInOneGraphWhileTokensLeaveTheWindow() {
    int steps = 90;
    KvCacheConfig config =
        with(
            QuantizedScene.centered(1, 32, LLOYD_MAX),
            TokenPolicy.NONE.withRecentWindow(5, 1).withFirstTokens(2));
    try (CudaScene scene = new CudaScene(gpu, config, steps)) {
      Tensor q = gpu.normal(3, DType.BF16, 1, 2, 32);
      Tensor k = gpu.allocate(DType.BF16, 1, 1, 32);
      Tensor v = gpu.allocate(DType.BF16, 1, 1, 32);
      Tensor sequences = scene.ints(0);
      Tensor positions = scene.ints(0);
      Tensor out = gpu.allocate(DType.F32, 1, 2, 32);
      CudaCacheAttention attention = CudaCacheAttention.on(gpu.stream());
      Tensor scratch = gpu.allocate(DType.F32, attention.scratchElements(scene.cache, 1, 2));
      CudaKvRows rows = CudaKvRows.decode(sequences, positions);
      Runnable step =
          () -> {
            scene.cache.append(gpu.stream(), k, v, rows);
            scene.cache.age(gpu.stream(), rows);
            attention.decode(q, scene.cache, sequences, positions, 0.2f, scratch, out);
          };
      scene.publish();
      step.run();
      gpu.stream().synchronize();
      scene.cache.begin(gpu.stream(), 0);
      Tensor queries = gpu.down(q);
      try (CudaGraph graph = CudaGraph.capture(gpu.stream(), step)) {
        long before = Memory.liveBytes();
        for (int at = 0; at < steps; at++) {
          scene.reserve(0, at + 1);
          scene.pages.dropBefore(0, config.tokens().left(at));
          scene.publish();
          gpu.stream().copy(scene.k.narrow(0, at, 1), k);
          gpu.stream().copy(scene.v.narrow(0, at, 1), v);
          try (Tensor host = Tensor.of(new int[] {at}, 1)) {
            gpu.stream().copy(host, positions);
            graph.launch(gpu.stream());
            gpu.stream().synchronize();
          }
        }
        assertThat(Memory.liveBytes()).isEqualTo(before);
      }
      scene.reference(0, 0, steps);
      Closeness.assertNmse("last step", gpu.doubles(out), scene.attended(queries, 0, 0.2f), 5e-5);
    }
  }

  @Test
  void copiesOfASequenceReadTheSame() {
    KvCacheConfig config =
        with(
            QuantizedScene.centered(1, 32, LLOYD_MAX),
            TokenPolicy.NONE.withRecentWindow(20, 1).withFirstTokens(2).withMassiveActivations(3));
    int length = 150;
    try (CudaScene scene = new CudaScene(gpu, config, length, length)) {
      scene.fill(30, 64);
      long left = config.tokens().left(length);
      scene.pages.dropBefore(0, left);
      assertThatThrownBy(() -> scene.cache.copy(gpu.stream(), 1, 1, length))
          .hasMessageContaining("expected another sequence");
      scene.pages.release(1);
      scene.aged.release(1);
      scene.pages.dropBefore(1, left);
      scene.pages.reserve(1, length);
      assertThatThrownBy(() -> scene.cache.copy(gpu.stream(), 0, 1, length))
          .hasMessageContaining("page 0 is missing");
      scene.aged.reserve(1, left);
      assertThat(scene.pages.bytes(1)).isEqualTo(scene.pages.bytes(0)).isEqualTo(64 * 128);
      scene.publish();
      scene.cache.copy(gpu.stream(), 0, 1, length);
      scene.pages.release(0);
      scene.aged.release(0);
      scene.publish();
      Tensor q = gpu.normal(3, DType.BF16, 1, 2, 32);
      Tensor out = decode(scene, q, scene.ints(1), scene.ints(length - 1));
      Closeness.assertNmse("copy", gpu.doubles(out), scene.attended(gpu.down(q), 0, 0.2f), 5e-5);
    }
  }

  @Test
  void givesNanOnceSomethingWasNotFinite() {
    KvCacheConfig config = with(QuantizedScene.rotated(1, 32, LLOYD_MAX), TokenPolicy.NONE);
    try (CudaScene scene = new CudaScene(gpu, config, 70, 70)) {
      scene.fill();
      Tensor bad = scene.scope.allocate(DType.F32, 1, 1, 32);
      bad.accessor().set(7, Double.NEGATIVE_INFINITY);
      Tensor x = scene.there(bad);
      CudaKvRows row = CudaKvRows.decode(scene.ints(0), scene.ints(70));
      scene.reserve(0, 71);
      scene.publish();
      scene.cache.append(gpu.stream(), x, x, row);
      scene.cache.age(gpu.stream(), row);
      Tensor q = gpu.normal(3, DType.BF16, 2, 2, 32);
      Tensor out = decode(scene, q, scene.ints(0, 1), scene.ints(70, 69));
      assertThat(gpu.down(out.select(0, 0)).toFloats()).containsOnly(Float.NaN);
      assertThat(gpu.down(out.select(0, 1)).toFloats()).doesNotContain(Float.NaN);
      scene.cache.begin(gpu.stream(), 0);
      out = decode(scene, q, scene.ints(0, 1), scene.ints(69, 69));
      assertThat(gpu.down(out).toFloats()).doesNotContain(Float.NaN);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    KvCacheConfig config = with(QuantizedScene.rotated(1, 32, LLOYD_MAX), TokenPolicy.NONE);
    try (CudaScene scene = new CudaScene(gpu, config, 10);
        CudaKvPages other = CudaKvPages.create(gpu.device(), 2, 64, 1)) {
      assertThatThrownBy(() -> CudaKvCache.create(scene.pages, config))
          .hasMessageContaining("expected one that quantizes nothing");
      assertThatThrownBy(() -> CudaKvCache.create(scene.pages, other, config))
          .hasMessageContaining("aged: expected pages of 1 sequences of 128 tokens");
      assertThatThrownBy(() -> scene.cache.keep(gpu.stream(), 0, 3))
          .hasMessageContaining("sinks: expected none");
      assertThatThrownBy(() -> scene.cache.begin(gpu.stream(), 1))
          .hasMessage("sequence: expected 0 <= sequence < 1, got 1");
      KvCacheConfig dense =
          with(QuantizedScene.dense(1, 32, QuantizedScene.affine(2, 128)), TokenPolicy.NONE);
      assertThatThrownBy(() -> CudaKvCache.create(scene.pages, scene.aged, dense))
          .hasMessageContaining("transform: expected one without dense pairs");
      KvCacheConfig grouped =
          with(QuantizedScene.grouped(3, 32, 1, QuantizedScene.affine(2, 128)), TokenPolicy.NONE);
      assertThatThrownBy(() -> CudaKvCache.create(scene.pages, scene.aged, grouped))
          .hasMessageContaining("that divide the 96 channels of a layer's key");
    }
  }
}

package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Sequences that go from a GPU to the CPU and back. */
@RequiresCuda
final class CudaTransferDeviceTest {
  private static final int[] LENGTHS = {1, 64, 150};

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
    TokenPolicy window = TokenPolicy.NONE.withRecentWindow(20, 1).withFirstTokens(2);
    KvCacheConfig centered = QuantizedScene.centered(1, 32, QuantizedScene.LLOYD_MAX);
    KvCacheConfig rotated = QuantizedScene.rotated(2, 32, QuantizedScene.affine(4, 64));
    KvCacheConfig grouped = QuantizedScene.grouped(2, 32, 1, QuantizedScene.affine(2, 64));
    return Stream.of(
        centered.withDtype(DType.BF16).withTokens(window.withMassiveActivations(3)),
        grouped.withDtype(DType.BF16).withTokens(TokenPolicy.NONE.withMassiveActivations(3)),
        centered.withDtype(DType.BF16).withTokens(window.withRecentWindow(10, 8)),
        rotated.withDtype(DType.BF16).withTokens(TokenPolicy.NONE));
  }

  private double[] decode(CudaScene scene, Tensor q, int sequence, int position) {
    CudaCacheAttention attention = CudaCacheAttention.on(gpu.stream());
    Tensor out = gpu.allocate(DType.F32, q.shape());
    attention.decode(
        q,
        scene.cache,
        scene.ints(sequence),
        scene.ints(position),
        0.2f,
        gpu.allocate(DType.F32, attention.scratchElements(scene.cache, 1, q.size(1))),
        out);
    return gpu.doubles(out);
  }

  private void anew(CudaScene scene, int sequence) {
    KvCacheConfig config = scene.config;
    int length = LENGTHS[sequence];
    scene.pages.release(sequence);
    scene.aged.release(sequence);
    scene.pages.dropBefore(sequence, config.format() == null ? 0 : config.tokens().left(length));
    scene.reserve(sequence, length);
    scene.publish();
    scene.cache.begin(gpu.stream(), sequence);
    scene.cache.clear(gpu.stream());
  }

  @ParameterizedTest
  @MethodSource("formats")
  void anImageGoesOnAsTheSequenceDid(KvCacheConfig config) {
    try (CudaScene scene = new CudaScene(gpu, config, LENGTHS);
        MemoryScope images = new MemoryScope()) {
      scene.fill(config.tokens().massiveActivations() > 0 ? new int[] {30, 64} : new int[0]);
      Tensor q = gpu.normal(3, DType.BF16, 1, 2L * config.kvHeads(), config.headDim());
      for (int i = 0; i < LENGTHS.length; i++) {
        double[] before = decode(scene, q, i, LENGTHS[i] - 1);
        scene.pages.dropBefore(i, config.tokens().left(LENGTHS[i]));
        CudaKvImage image =
            CudaKvTransfer.of(gpu.stream(), scene.cache, i).download(LENGTHS[i], images);
        anew(scene, i);
        CudaKvTransfer.of(gpu.stream(), scene.cache, i).upload(LENGTHS[i], image);
        assertThat(decode(scene, q, i, LENGTHS[i] - 1)).isEqualTo(before);
        scene.cache.clear(gpu.stream());
        scene.fill(config.tokens().massiveActivations() > 0 ? new int[] {30, 64} : new int[0]);
      }
    }
  }

  @Test
  void tokensThatAreNotQuantizedGoDownAndUp() {
    KvCacheConfig config = KvCacheConfig.exact(2, 32, DType.BF16);
    try (CudaScene scene = new CudaScene(gpu, config, LENGTHS);
        Tensor k = Tensor.allocate(DType.F32, 150, 2, 32);
        Tensor v = Tensor.allocate(DType.F32, 150, 2, 32)) {
      scene.fill();
      Tensor q = gpu.normal(3, DType.BF16, 1, 4, 32);
      double[] before = decode(scene, q, 2, 149);
      CudaKvTransfer.of(gpu.stream(), scene.cache, 2).read(k, v);
      assertThat(k.toFloats()).isEqualTo(scene.k.narrow(0, 65, 150).toFloats());
      assertThat(v.toFloats()).isEqualTo(scene.v.narrow(0, 65, 150).toFloats());
      anew(scene, 2);
      CudaKvTransfer.of(gpu.stream(), scene.cache, 2).write(k, v);
      assertThat(decode(scene, q, 2, 149)).isEqualTo(before);
      assertThatThrownBy(() -> CudaKvTransfer.of(gpu.stream(), scene.cache, 0).read(k, v))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("tokens: page 1 of the sequence is missing");
      assertThatThrownBy(
              () -> CudaKvTransfer.of(gpu.stream(), scene.cache, 0).download(1, scene.scope))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("a cache that quantizes nothing has no image");
    }
  }

  @Test
  void refusesAnImageOfSomethingElseAndOneThatLostTokens() {
    KvCacheConfig config = formats().findFirst().orElseThrow();
    KvCacheConfig other = config.withTokens(config.tokens().withFirstTokens(3));
    try (CudaScene scene = new CudaScene(gpu, config, 70);
        CudaScene second = new CudaScene(gpu, other, 70)) {
      scene.fill();
      second.fill();
      CudaKvImage image = CudaKvTransfer.of(gpu.stream(), scene.cache, 0).download(70, scene.scope);
      assertThatThrownBy(() -> CudaKvTransfer.of(gpu.stream(), second.cache, 0).upload(70, image))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("image: made with another configuration: expected")
          .hasMessageContaining("firstTokens=3");
      assertThatThrownBy(() -> CudaKvTransfer.of(gpu.stream(), scene.cache, 0).upload(130, image))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("packed");
      assertThatThrownBy(
              () -> CudaKvTransfer.of(gpu.stream(), scene.cache, 0).read(scene.k, scene.v))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("as an image");
      Tensor bad = scene.scope.allocate(DType.F32, 1, 1, 32);
      bad.accessor().set(7, Double.NaN);
      CudaKvRows row = CudaKvRows.decode(scene.ints(0), scene.ints(5));
      scene.cache.append(gpu.stream(), scene.there(bad), scene.there(bad), row);
      CudaKvRows leaves = CudaKvRows.decode(scene.ints(0), scene.ints(25));
      scene.cache.age(gpu.stream(), leaves);
      assertThatThrownBy(
              () -> CudaKvTransfer.of(gpu.stream(), scene.cache, 0).download(70, scene.scope))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("not finite");
    }
  }

  @Test
  void refusesAnImageThatWasDamaged() {
    KvCacheConfig config = formats().findFirst().orElseThrow();
    try (CudaScene scene = new CudaScene(gpu, config, 70)) {
      scene.fill(30, 64);
      CudaKvTransfer transfer = CudaKvTransfer.of(gpu.stream(), scene.cache, 0);
      CudaKvImage image = transfer.download(70, scene.scope);
      Elements positions = image.sinkPositions().accessor();
      assertThat(image.sinkPositions().narrow(0, 0, 5).toDoubles())
          .containsExactly(0, 1, 30, 64, Integer.MAX_VALUE);
      for (int wrong : new int[] {-1, 1, 3 * 64, Integer.MAX_VALUE}) {
        positions.setLong(2, wrong);
        assertThatThrownBy(() -> transfer.upload(70, image))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("sinkPositions: expected ascending positions from 0 to 191");
      }
      positions.setLong(2, 30);
      transfer.upload(70, image);
      for (Tensor part : List.of(image.recent(), image.packed(), image.sinks())) {
        Elements bytes = part.accessor();
        long was = bytes.getLong(part.elements() / 2);
        bytes.setLong(part.elements() / 2, was ^ 4);
        assertThatThrownBy(() -> transfer.upload(70, image))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("image: damaged: expected checksum");
        bytes.setLong(part.elements() / 2, was);
      }
    }
  }
}

package io.github.lightning4j.kvquant.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Codes, scales and zero points on a GPU are the reference's, bit for bit. */
@RequiresCuda
final class CudaAgeDeviceTest {
  private static final int TOKENS = 70;
  private static final int PAGES = 2;

  private Gpu gpu;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    gpu = new Gpu();
    scope = new MemoryScope();
  }

  @AfterEach
  void close() {
    scope.close();
    gpu.close();
  }

  private static KvQuantizer affine(int bits, Clip clip, ScaleFormat scale, ZeroFormat zero) {
    return KvQuantizer.affine(bits, 128, clip, scale, zero);
  }

  static Stream<KvCacheConfig> formats() {
    KvTransform hadamard = new KvTransform.HeadHadamard();
    KvQuantizer lloydMax = KvQuantizer.lloydMax(2, 128, ScaleFormat.LOG8);
    return Stream.of(
        config(128, affine(2, Clip.paper(0.8), ScaleFormat.LOG8, ZeroFormat.INTEGER), hadamard),
        config(
            64, affine(4, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT), new KvTransform.Plain()),
        config(32, affine(8, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER), hadamard),
        config(
            64, affine(2, Clip.centered(0.6), ScaleFormat.LOG8, ZeroFormat.FRACTIONAL), hadamard),
        config(32, affine(2, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT), hadamard),
        config(128, lloydMax, new KvTransform.CenteredHadamard()),
        config(32, lloydMax, new KvTransform.CenteredHadamard()),
        grouped(128, 2, 128, 2),
        grouped(32, 1, 32, 4));
  }

  /** Keys rotated over heads, before the rotary embedding. */
  private static KvCacheConfig grouped(int dim, int heads, int group, int bits) {
    Integer[] order = IntStream.range(0, 2 * dim).boxed().toArray(Integer[]::new);
    Collections.shuffle(Arrays.asList(order), new Random(7));
    int[] permutation = Arrays.stream(order).mapToInt(i -> i).toArray();
    KvQuantizer quantizer =
        KvQuantizer.affine(bits, group, Clip.paper(0.8), ScaleFormat.LOG8, ZeroFormat.INTEGER);
    return KvCacheConfig.quantized(2, dim, KvFormat.both(quantizer))
        .withDtype(DType.BF16)
        .withTokens(TokenPolicy.NONE)
        .withTransform(
            new KvTransform.PreRopeGrouped(heads, PermutationScope.LAYER),
            KeyBasis.grouped(new GroupedBasis(2, dim, heads, permutation), new float[dim / 4]));
  }

  private static KvCacheConfig config(int dim, KvQuantizer quantizer, KvTransform transform) {
    KeyBasis basis = null;
    if (transform instanceof KvTransform.CenteredHadamard) {
      float[] mean = Cases.normal(9, DType.F32, 2 * dim).toFloats();
      float[] frequencies = new float[dim / 4];
      for (int j = 0; j < frequencies.length; j++) {
        frequencies[j] = (float) Math.pow(10_000, -(double) j / frequencies.length);
      }
      basis = KeyBasis.centered(mean, frequencies);
    }
    return KvCacheConfig.quantized(2, dim, KvFormat.both(quantizer))
        .withDtype(DType.BF16)
        .withTokens(TokenPolicy.NONE)
        .withTransform(transform, basis);
  }

  /** Normal values; a constant, a zero and a one-sided group, and tiny and huge ones among them. */
  private Tensor awkward(long seed, int dim) {
    Tensor x = scope.add(Cases.normal(seed, DType.BF16, TOKENS, 2, dim));
    Elements elements = x.accessor();
    double[] shifts = {3, 0, 20, 0, 0};
    double[] factors = {0, 0, 1, 1e-8, 1e8};
    for (int t = 0; t < shifts.length; t++) {
      for (int i = 0; i < dim; i++) {
        long at = (2L * t + 1) * dim + i;
        elements.set(at, shifts[t] + factors[t] * elements.get(at));
      }
    }
    return x;
  }

  private PagedStore reference(KvCacheConfig config, Tensor k, Tensor v) {
    PagedStore store =
        new PagedStore(config, new PageLedger(Long.MAX_VALUE), StoreKernels.of(Backend.REFERENCE));
    store.append(wide(k), wide(v));
    return store;
  }

  private Tensor wide(Tensor x) {
    return scope.add(Tensor.of(x.toFloats(), x.shape()));
  }

  private Tensor there(Tensor host) {
    Tensor there = gpu.allocate(host.dtype(), host.shape());
    gpu.stream().copy(host, there);
    return there;
  }

  private Tensor ints(int... values) {
    return gpu.up(Tensor.of(values, values.length));
  }

  private CudaStore store(KvCacheConfig config) {
    Tensor exact = gpu.up(Tensor.of(new int[] {1, 2}, 1, PAGES));
    Tensor packed = gpu.up(Tensor.of(new int[] {2, 0}, 1, PAGES));
    return new CudaStore(gpu.device(), CacheFormat.of(config), exact, 3, packed, 3);
  }

  /** Both sides of the tokens before {@code left}, byte by byte. */
  private void check(CudaStore store, PagedStore reference, long left) {
    CudaStore.Packed packed = store.packed();
    assertThat(packed).isNotNull();
    Tensor pool = gpu.down(packed.pages().pool());
    int[] table = {2, 0};
    for (PackedLayout layout : List.of(store.format().key(), store.format().value())) {
      KvQuantizer quantizer = layout.quantizer();
      for (int token = 0; token < left; token++) {
        Elements expected =
            reference.packedPages().get(token / PageLayout.TOKENS).elements(DType.U8);
        Elements found = pool.select(0, table[token / PageLayout.TOKENS]).accessor();
        int slot = token % PageLayout.TOKENS;
        for (int unit = 0; unit < layout.units() * layout.groups(); unit++) {
          int u = unit / layout.groups();
          int g = unit % layout.groups();
          String what = token + " of unit " + u + ", group " + g;
          same("codes " + what, expected, found, layout.codes(u, g, slot), layout.tokenBytes(g));
          same(
              "scale " + what,
              expected,
              found,
              layout.scale(u, g, slot),
              quantizer.scale().bytes());
          same("zero " + what, expected, found, layout.zero(u, g, slot), quantizer.zeroBytes());
        }
      }
    }
  }

  private static void same(String what, Elements expected, Elements found, long at, int bytes) {
    for (int i = 0; i < bytes; i++) {
      assertThat(found.getLong(at + i))
          .as("%s, byte %s", what, i)
          .isEqualTo(expected.getLong(at + i));
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void codesAreTheReferences(KvCacheConfig config) {
    Tensor k = awkward(1, config.headDim());
    Tensor v = awkward(2, config.headDim());
    try (CudaStore store = store(config);
        PagedStore reference = reference(config, k, v)) {
      Tensor sequences = ints(0);
      Tensor starts = ints(0);
      Tensor offsets = ints(0, TOKENS);
      CudaStoreKernels.append(gpu.stream(), store, there(k), there(v), sequences, starts, offsets);
      CudaStoreKernels.age(gpu.stream(), store, sequences, starts, offsets);
      check(store, reference, TOKENS);
    }
  }

  @Test
  void eachTokenLeavesOnceHoweverItCame() {
    KvCacheConfig config =
        config(
                32,
                affine(2, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER),
                new KvTransform.HeadHadamard())
            .withTokens(TokenPolicy.NONE.withRecentWindow(10, 4));
    Tensor k = awkward(1, 32);
    Tensor v = awkward(2, 32);
    try (CudaStore store = store(config);
        PagedStore reference = reference(config, k, v)) {
      Tensor sequences = ints(0);
      for (int from = 0, count = 33; from < TOKENS; from += count, count = from < 53 ? 20 : 1) {
        Tensor starts = ints(from);
        Tensor offsets = count == 1 ? null : ints(0, count);
        Tensor keys = there(k.narrow(0, from, count));
        Tensor values = there(v.narrow(0, from, count));
        CudaStoreKernels.append(gpu.stream(), store, keys, values, sequences, starts, offsets);
        CudaStoreKernels.age(gpu.stream(), store, sequences, starts, offsets);
      }
      check(store, reference, config.tokens().left(TOKENS));
    }
  }

  @Test
  void refusesFormatsThatKernelsDoNotHave() {
    KvTransform plain = new KvTransform.Plain();
    KvQuantizer usual = affine(2, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER);
    assertThatThrownBy(() -> store(config(32, usual.withBits(3), plain)))
        .hasMessageContaining("expected 2, 4 or 8 bits in groups of a head of 32 channels");
    KvQuantizer short32 =
        KvQuantizer.affine(2, 32, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER);
    assertThatThrownBy(() -> store(config(64, short32, plain)))
        .hasMessageContaining("in groups of a head of 64 channels or more");
    assertThatThrownBy(
            () ->
                store(
                    config(32, affine(2, Clip.NONE, ScaleFormat.FP32, ZeroFormat.INTEGER), plain)))
        .hasMessageContaining("expected scales LOG8 or FP16");
    assertThatThrownBy(
            () -> store(config(32, KvQuantizer.lloydMax(4, 128, ScaleFormat.LOG8), plain)))
        .hasMessageContaining("expected 2 bits for a Lloyd-Max grid");
    assertThatThrownBy(
            () ->
                store(
                    config(
                        32,
                        affine(2, Clip.percentile(0.9), ScaleFormat.LOG8, ZeroFormat.INTEGER),
                        plain)))
        .hasMessageContaining("expected a range clipped by a factor");
    KvCacheConfig mixed =
        KvCacheConfig.quantized(2, 32, new KvFormat(usual, usual.withBits(4)))
            .withDtype(DType.BF16);
    assertThatThrownBy(() -> store(mixed)).hasMessageContaining("expected one for keys and values");
  }
}

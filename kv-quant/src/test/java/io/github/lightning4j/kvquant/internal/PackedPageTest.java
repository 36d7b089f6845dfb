package io.github.lightning4j.kvquant.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import java.util.function.IntUnaryOperator;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The bytes of a packed page: four stripes of 32 channels, scales and zero points apart. */
final class PackedPageTest {
  private static final KvCacheConfig CONFIG =
      KvCacheConfig.quantized(
          1,
          128,
          KvFormat.both(
              KvQuantizer.affine(2, 128, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER)));

  private static void fill(Tensor x, int token, IntUnaryOperator code) {
    for (int i = 0; i < 128; i++) {
      x.accessor().set(token * 128L + i, code.applyAsInt(i));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"REFERENCE", "CPU"})
  void codesLieInStripes(Backend backend) {
    assumeTrue(backend != Backend.CPU || KvQuantKernels.library().availability().isAvailable());
    try (PagedStore store =
            new PagedStore(CONFIG, new PageLedger(Long.MAX_VALUE), StoreKernels.of(backend));
        Tensor k = Tensor.allocate(DType.F32, 2, 1, 128);
        Tensor v = Tensor.allocate(DType.F32, 2, 1, 128)) {
      fill(k, 0, i -> i % 4);
      fill(k, 1, i -> i / 32);
      fill(v, 0, i -> 3 - i % 4);
      fill(v, 1, i -> 3 - i / 32);
      store.append(k, v);
      Elements page = store.packedPages().elements(DType.U8)[0];
      int values = 64 * (32 + 1 + 1);
      for (int j = 0; j < 32; j++) {
        assertThat(page.getLong(j)).isEqualTo(j % 4 * 0x55);
        assertThat(page.getLong(32 + j)).isEqualTo(0xe4);
        assertThat(page.getLong(values + j)).isEqualTo(0xff - j % 4 * 0x55);
        assertThat(page.getLong(values + 32 + j)).isEqualTo(0x1b);
      }
      for (int token = 0; token < 2; token++) {
        assertThat(page.getLong(64 * 32 + token)).as("scale 1").isEqualTo(160);
        assertThat(page.getLong(64 * 33 + token)).as("zero point, less the middle").isEqualTo(254);
      }
    }
  }
}

package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.MiniMaxConfig.AttentionConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.ExpertConfig;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Slices of small models. */
@RequiresCuda
final class DeviceSliceDeviceTest {
  /** Two layers in the manner of M1, one of each kind, with grouped heads. */
  private static MiniMaxConfig small() {
    MiniMaxConfig m1 = MiniMaxConfig.m1(8);
    return new MiniMaxConfig(
        m1.dialect(),
        96,
        64,
        m1.layers().subList(6, 8),
        new AttentionConfig(4, 2, 32, 16, 1e7),
        new ExpertConfig(4, 2, 32, 0),
        m1.residuals(),
        m1.rmsNormEps(),
        4096,
        false,
        List.of());
  }

  @ParameterizedTest
  @CsvSource({"bf16, bf16", "int8, kv2", "int4, bf16"})
  void tellsTimesAndGivesAllBack(String format, String caches) {
    long before = CudaMemory.liveBytes();
    try (DeviceSlice slice =
        DeviceSlice.open(
            Device.cuda(0),
            small(),
            WeightFormat.parse(format),
            KvCacheFormat.of(caches),
            PageBudget.ofBytes(1 << 18))) {
      assertThat(slice.prefillSeconds(2, 11, 16)).isPositive();
      assertThat(slice.decodeSeconds(2, 70, 2)).isPositive();
      assertThat(slice.decodeSeconds(1, 0, 1)).isPositive();
      assertThatThrownBy(() -> slice.prefillSeconds(9, 200, 16))
          .isInstanceOf(PageBudgetException.class);
      assertThatThrownBy(() -> slice.decodeSeconds(9, 200, 1)) // after some of them were opened
          .isInstanceOf(PageBudgetException.class);
      assertThat(slice.decodeSeconds(1, 900, 1)).isPositive(); // so all pages are free again
      assertThatThrownBy(() -> slice.decodeSeconds(1, 4000, 1))
          .isInstanceOf(PageBudgetException.class);
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void refusesNumbersOutOfRange() {
    try (DeviceSlice slice = DeviceSlice.open(Device.cuda(0), small(), WeightFormat.BF16)) {
      assertThatThrownBy(() -> slice.decodeSeconds(0, 1, 1)).hasMessageContaining("sequences");
      assertThatThrownBy(() -> slice.prefillSeconds(1, 1, 0)).hasMessageContaining("chunk");
    }
    assertThatThrownBy(
            () ->
                DeviceSlice.open(
                    Device.cuda(0),
                    small(),
                    WeightFormat.BF16,
                    KvCacheFormat.F32,
                    PageBudget.unlimited()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("bf16, int8,")
        .hasMessageContaining("kv2")
        .hasMessageContaining("got f32");
    assertThatThrownBy(() -> DeviceSlice.open(Device.cuda(0), small(), WeightFormat.STORED))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("stored");
  }
}

package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import org.junit.jupiter.api.Test;

/** The format of caches where one was chosen, and where none was. */
final class LoadOptionsTest {
  private static final Device GPU = Device.cuda(0);

  @Test
  void theDeviceChoosesWhereNobodyDid() {
    assertThat(LoadOptions.DEFAULT.cacheFormat()).isEqualTo(KvCacheFormat.F32);
    LoadOptions there = LoadOptions.DEFAULT.withDevice(GPU);
    assertThat(there.cacheFormat()).isEqualTo(KvCacheFormat.exact(DType.BF16));
    assertThat(there.withDevice(Device.CPU).cacheFormat()).isEqualTo(KvCacheFormat.F32);
  }

  @Test
  void whatWasChosenStaysInAnyOrder() {
    LoadOptions first = LoadOptions.DEFAULT.withCacheFormat(KvCacheFormat.F32).withDevice(GPU);
    LoadOptions second = LoadOptions.DEFAULT.withDevice(GPU).withCacheType(DType.F32);
    assertThat(first).isEqualTo(second);
    assertThat(first.cacheFormat()).isEqualTo(KvCacheFormat.F32);
  }
}

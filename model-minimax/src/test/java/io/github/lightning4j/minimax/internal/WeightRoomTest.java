package io.github.lightning4j.minimax.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.minimax.WeightFormats;
import io.github.lightning4j.minimax.WeightPlacement;
import org.junit.jupiter.api.Test;

/** Memory that looks as if it were there, and that the system refuses. */
final class WeightRoomTest {
  private static final long BEYOND = 1L << 60; // any address space

  private static WeightBinder.Room room(WeightPlacement placement, long all) {
    return WeightBinder.room(
        new WeightBinder.Wish(
            WeightFormats.STORED, new ExpertRange(0, 2, 2), true, placement, Long.MAX_VALUE),
        all,
        128);
  }

  @Test
  void weightsStayMappedWhereTheSystemRefusesTheirCopy() {
    long before = Memory.liveBytes();
    WeightBinder.Room refused = room(WeightPlacement.AUTO, BEYOND);
    assertThat(refused.copied()).isFalse();
    assertThat(Memory.liveBytes()).isEqualTo(before + 128);
    assertThat(refused.arena().take(DType.F32, 32).elements()).isEqualTo(32);
    refused.arena().close();
    WeightBinder.Room granted = room(WeightPlacement.AUTO, 4096);
    assertThat(granted.copied()).isTrue();
    assertThat(Memory.liveBytes()).isEqualTo(before + 4096);
    granted.arena().close();
    assertThatThrownBy(() -> room(WeightPlacement.COPIED, BEYOND))
        .isInstanceOf(OutOfNativeMemoryException.class)
        .hasMessageContaining("the system refused " + BEYOND + " bytes");
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }
}

package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.minimax.internal.ExpertRange;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which experts a rank holds, and that it reads no others. */
final class ExpertShareTest {
  @TempDir private Path folder;

  private static Checkpoint open(Path from, String format, int rank, int ranks) {
    return Checkpoint.open(
        from,
        WeightFormats.parse(format),
        config -> ExpertRange.of(config, rank, ranks),
        WeightPlacement.COPIED,
        Long.MAX_VALUE,
        ProgressListener.NONE);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 5, 8})
  void sharesAllExpertsOutEvenly(int ranks) {
    MiniMaxConfig config = MiniMaxConfig.m1(8); // 32 experts
    List<Integer> held = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      ExpertRange range = ExpertRange.of(config, rank, ranks);
      assertThat(range.count()).isBetween(32 / ranks, (32 + ranks - 1) / ranks);
      for (int e = range.first(); e < range.end(); e++) {
        held.add(e);
      }
    }
    assertThat(held).hasSize(32).isSorted().doesNotHaveDuplicates();
  }

  @Test
  void refusesMoreRanksThanExperts() {
    assertThatThrownBy(() -> ExpertRange.of(MiniMaxConfig.m1(8), 0, 33))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("ranks: expected 1 to 32, one for each expert of a layer at most, got 33");
  }

  @ParameterizedTest
  @CsvSource({"false, bf16", "false, int4", "true, bf16", "true, experts=int8"})
  void holdsItsShareAlone(boolean fused, String format) {
    Path from = SmallCheckpoint.write(folder, fused);
    long before = Memory.liveBytes();
    long whole;
    try (Checkpoint all = open(from, format, 0, 1)) {
      whole = Memory.liveBytes() - before;
      assertThat(all.weights().layers().get(1).moe().experts().experts()).isEqualTo(5);
    }
    for (int rank = 0; rank < 2; rank++) {
      try (Checkpoint part = open(from, format, rank, 2)) {
        assertThat(part.weights().layers().get(1).moe().experts().experts()).isEqualTo(3 - rank);
        assertThat(Memory.liveBytes() - before).isLessThan(whole);
      }
    }
  }

  @Test
  void asksForNoOtherExperts() {
    String missing = "model.layers.1.block_sparse_moe.experts.3.w2.weight";
    Path from = SmallCheckpoint.write(folder, false, missing);
    try (Checkpoint first = open(from, "bf16", 0, 2)) {
      first.checkWeights(ProgressListener.NONE);
    }
    assertThatThrownBy(() -> open(from, "bf16", 1, 2))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(missing);
  }
}

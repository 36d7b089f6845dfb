package io.github.lightning4j.jmh.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

final class CrossingTest {
  private static NavigableMap<Integer, Double> curve(double factor, int power, int... tokens) {
    NavigableMap<Integer, Double> curve = new TreeMap<>();
    for (int t : tokens) {
      curve.put(t, factor * Math.pow(t, power));
    }
    return curve;
  }

  @Test
  void powersCrossWhereTheyDo() {
    // 700 T = T^2 at 700; 16384 is not in common.
    Crossing crossing =
        new Crossing(curve(700, 1, 256, 1024, 4096, 16384), curve(1, 2, 256, 1024, 4096));
    assertThat(crossing.tokens()).hasValueCloseTo(700.0, Offset.offset(1e-6));
    assertThat(crossing.told()).isEqualTo("faster from 700 tokens on");
  }

  @Test
  void tellsWhoIsAheadAllTheWay() {
    Crossing ahead = new Crossing(curve(100, 1, 256, 1024), curve(1, 2, 256, 1024));
    assertThat(ahead.tokens()).isEmpty();
    assertThat(ahead.told()).isEqualTo("faster at all 256 to 1024 tokens");
    Crossing behind = new Crossing(curve(5000, 1, 256, 1024), curve(1, 2, 256, 1024));
    assertThat(behind.tokens()).isEmpty();
    assertThat(behind.told()).isEqualTo("not faster at 1024 tokens");
    assertThat(new Crossing(curve(1, 1, 2), curve(1, 1, 3)).told())
        .isEqualTo("no number of tokens in common");
  }

  @Test
  void theLastOfSeveralCounts() {
    NavigableMap<Integer, Double> ours = new TreeMap<>(Map.of(1, 1.0, 2, 3.0, 4, 3.0, 8, 1.0));
    NavigableMap<Integer, Double> theirs = new TreeMap<>(Map.of(1, 2.0, 2, 2.0, 4, 3.0, 8, 2.0));
    assertThat(new Crossing(ours, theirs).tokens()).hasValueCloseTo(4.0, Offset.offset(1e-9));
  }
}

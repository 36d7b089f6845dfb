package io.github.lightning4j.attention.internal;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

final class SplitTest {
  private static final Split NONE = new Split(1, false);
  private static final long LONG = 100_000;

  private static List<Sequence> sequences(int count, long tokens) {
    return IntStream.range(0, count).mapToObj(i -> new Sequence(i, 0, tokens, i, i)).toList();
  }

  private static Split split(int count, long tokens, long heads, long dv, int threads) {
    return Split.of(sequences(count, tokens), heads, 128, dv, threads);
  }

  @Test
  void leavesManyHeadsWhole() {
    for (int threads : new int[] {1, 2, 4, 8, 16}) {
      assertThat(split(1, LONG, 64, 128, threads)).isEqualTo(NONE);
      assertThat(split(64, 100, 1, 128, threads)).isEqualTo(NONE);
    }
  }

  @Test
  void leavesOneThreadAllOfIt() {
    assertThat(split(1, LONG, 1, 128, 1)).isEqualTo(NONE);
    assertThat(split(1, LONG, 3, 4096, 1)).isEqualTo(NONE);
  }

  @Test
  void slicesOneHeadForTwoThreads() {
    assertThat(split(1, 1000, 1, 128, 2)).isEqualTo(new Split(2, false));
    assertThat(split(1, LONG, 1, 128, 2).slices()).isGreaterThan(1);
  }

  @Test
  void takesSegmentsOfOneLongHeadForManyThreads() {
    assertThat(split(1, LONG, 1, 128, 16).segments()).isTrue();
    assertThat(split(1, LONG, 1, 40, 16)).isEqualTo(new Split(1, true));
    assertThat(split(1, LONG, 2, 64, 16).segments()).isTrue();
    List<Sequence> ten = sequences(1, 9 * Split.SEGMENT + 5);
    assertThat(Split.of(ten, 1, 8, 40, 2)).isEqualTo(new Split(1, true));
  }

  @Test
  void neverTakesSegmentsOfShortSequences() {
    for (int threads = 1; threads <= 64; threads++) {
      for (int heads = 1; heads <= 64; heads *= 2) {
        assertThat(split(1, Split.SEGMENT, heads, 128, threads).segments()).isFalse();
        assertThat(split(3, 17, heads, 40, threads).segments()).isFalse();
      }
    }
  }

  @Test
  void neverSlicesBelowATile() {
    for (int threads = 1; threads <= 64; threads++) {
      for (long dv : new long[] {1, 32, 40, 63}) {
        assertThat(split(1, 1000, 1, dv, threads).slices()).isEqualTo(1);
      }
      assertThat(split(1, 1000, 1, 64, threads).slices()).isLessThanOrEqualTo(2);
      assertThat(split(1, 1000, 1, 128, threads).slices()).isLessThanOrEqualTo(4);
    }
  }

  @Test
  void takesNothingAsItIs() {
    assertThat(split(0, 0, 1, 128, 16)).isEqualTo(NONE);
    assertThat(split(2, 0, 1, 128, 16).segments()).isFalse();
  }
}

package io.github.lightning4j.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.CudaSampler.Options;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The kernels of {@code sampling.cu} against a sorted list of probabilities in double. */
@RequiresCuda
final class CudaSamplerDeviceTest {
  private Gpu gpu;
  private CudaSampler sampler;

  @BeforeEach
  void open() {
    gpu = new Gpu();
    sampler = CudaSampler.on(gpu.stream());
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  private long[] sample(
      Tensor logits, List<Options> options, long[] seeds, int[] draws, @Nullable Tensor seen) {
    int b = seeds.length;
    Tensor table = Tensor.allocate(DType.F64, b, Options.COUNT);
    for (int row = 0; row < b; row++) {
      double[] numbers = options.get(row).toArray();
      for (int i = 0; i < numbers.length; i++) {
        table.accessor().set(row * Options.COUNT + i, numbers[i]);
      }
    }
    Tensor out = gpu.allocate(DType.I32, b);
    sampler.sample(
        logits,
        gpu.up(table),
        gpu.up(Tensor.of(seeds, b)),
        gpu.up(Tensor.of(draws, b)),
        seen,
        gpu.allocate(DType.I64, CudaSampler.scratchElements(b, logits.size(1))),
        out);
    return gpu.down(out).toLongs();
  }

  /** What java.util.SplittableRandom gives as its n-th number, from 0. */
  private static double uniform(long seed, int n) {
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < n; i++) {
      random.nextDouble();
    }
    return random.nextDouble();
  }

  /** The token that a uniform number gives, and how far from another one it is. */
  private record Drawn(int id, double margin) {}

  /** Penalised logits of a row to a token, by sorting. */
  private static Drawn drawn(double[] scores, Options options, double u) {
    double best = Double.NEGATIVE_INFINITY;
    for (double s : scores) {
      best = s > best ? s : best;
    }
    float[] p = new float[scores.length];
    List<Integer> ids = new ArrayList<>();
    for (int i = 0; i < p.length; i++) {
      double exact = Math.exp((scores[i] - best) / options.temperature());
      p[i] = (float) exact;
      if (exact > 0 && exact >= options.minP()) {
        ids.add(i);
      }
    }
    boolean byRank = options.topK() > 0 && options.topK() < ids.size();
    if (byRank || options.topP() < 1) {
      ids.sort(Comparator.comparingDouble((Integer i) -> -p[i]).thenComparingInt(i -> i));
    }
    List<Integer> kept = byRank ? ids.subList(0, options.topK()) : ids;
    double margin = 1;
    if (options.topP() < 1) {
      double total = kept.stream().mapToDouble(i -> p[i]).sum();
      double sum = 0;
      int count = 0;
      while (count < kept.size() && sum < options.topP() * total) {
        margin = Math.min(margin, Math.abs(sum / total - options.topP()));
        sum += p[kept.get(count++)];
      }
      margin = Math.min(margin, Math.abs(sum / total - options.topP()));
      kept = kept.subList(0, count);
    }
    double total = kept.stream().mapToDouble(i -> p[i]).sum();
    double at = u * total;
    for (int id : kept) {
      margin = Math.min(margin, Math.abs(at) / total);
      at -= p[id];
      if (at < 0) {
        return new Drawn(id, Math.min(margin, -at / total));
      }
    }
    return new Drawn(kept.get(kept.size() - 1), margin);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void drawsWhatTheUniformNumberSays(DType type) {
    List<Options> options =
        List.of(
            new Options(1, 0, 1, 0, 1),
            new Options(0.7, 5, 1, 0, 1),
            new Options(1.3, 0, 0.8, 0, 1),
            new Options(1, 40, 0.95, 0, 1),
            new Options(2, 0, 1, 0.05, 1),
            new Options(0.9, 3, 0.5, 0.01, 1),
            new Options(5, 1000, 0.999, 0, 1),
            Options.GREEDY);
    int b = options.size();
    for (int v : new int[] {1, 33, 1500}) {
      Tensor logits = gpu.normal(v, type, b, v);
      double[] all = gpu.doubles(logits);
      for (int i = 0; i < 4; i++) {
        long[] seeds = new long[b];
        int[] draws = new int[b];
        for (int row = 0; row < b; row++) {
          seeds[row] = 1000L * row - 3 + v;
          draws[row] = i + row;
        }
        long[] ids = sample(logits, options, seeds, draws, null);
        for (int row = 0; row < b; row++) {
          double[] scores = Arrays.copyOfRange(all, row * v, (row + 1) * v);
          Options of = options.get(row);
          if (of.temperature() == 0) {
            of = new Options(1, 1, 1, 0, 1);
          }
          Drawn expected = drawn(scores, of, uniform(seeds[row], draws[row]));
          assertThat(expected.margin).as("a clear case").isGreaterThan(1e-9);
          assertThat(ids[row]).as("%s of %s", of, v).isEqualTo(expected.id);
        }
      }
    }
  }

  @Test
  void drawsEquallyLikelyTokensEquallyOften() {
    int b = 400;
    Tensor logits = gpu.up(Tensor.of(new float[b * 8], b, 8));
    List<Options> options = new ArrayList<>();
    long[] seeds = new long[b];
    int[] draws = new int[b];
    for (int row = 0; row < b; row++) {
      // Half by id, half among the first four of equals.
      options.add(row % 2 == 0 ? new Options(1, 0, 1, 0, 1) : new Options(1, 4, 1, 0, 1));
      seeds[row] = 99;
      draws[row] = row;
    }
    int[] byId = new int[8];
    int[] ofFour = new int[8];
    long[] ids = sample(logits, options, seeds, draws, null);
    for (int row = 0; row < b; row++) {
      (row % 2 == 0 ? byId : ofFour)[(int) ids[row]]++;
    }
    for (int id = 0; id < 8; id++) {
      assertThat(byId[id]).isCloseTo(25, within(15));
      assertThat(ofFour[id]).isCloseTo(id < 4 ? 50 : 0, within(id < 4 ? 20 : 0));
    }
  }

  @Test
  void doesNotDependOnTheBatch() {
    Tensor logits = gpu.normal(5, DType.F32, 6, 700);
    Options options = new Options(1, 50, 0.9, 0, 1);
    long[] seeds = {1, 2, 3, 4, 5, 6};
    int[] draws = {9, 8, 7, 6, 5, 4};
    long[] together = sample(logits, Collections.nCopies(6, options), seeds, draws, null);
    for (int row = 0; row < 6; row++) {
      long[] alone =
          sample(
              logits.narrow(0, row, 1),
              List.of(options),
              new long[] {seeds[row]},
              new int[] {draws[row]},
              null);
      assertThat(alone[0]).isEqualTo(together[row]);
    }
  }

  @Test
  void penalisesWhatWasSeenAndMarksWhatItPicks() {
    Tensor logits = gpu.up(Tensor.of(new float[] {4, 3, 1, -1, -2, -9}, 2, 3));
    Tensor seen = gpu.allocate(DType.U8, 2, 3);
    gpu.stream().clear(seen);
    Options options = new Options(0, 0, 1, 0, 3);
    List<Options> both = List.of(options, options);
    int[] none = {0, 0};
    // 4, 3, 1 then 4/3, 3, 1 then 4/3, 1, 1; and -1, -2, -9 then -3, -2, -9 then -3, -6, -9.
    int[][] expected = {{0, 0}, {1, 1}, {0, 0}};
    for (int[] ids : expected) {
      long[] picked = sample(logits, both, new long[2], none, seen);
      assertThat(picked).containsExactly(ids[0], ids[1]);
    }
    assertThat(gpu.down(seen).toLongs()).containsExactly(1, 1, 0, 1, 1, 0);
  }

  @Test
  void ignoresNanAndTellsOfRowsWithoutAFiniteLargest() {
    float nan = Float.NaN;
    float inf = Float.POSITIVE_INFINITY;
    float[] rows = {nan, 2, nan, 1, nan, nan, nan, nan, -inf, -inf, -inf, -inf, 1, inf, 2, nan};
    Tensor logits = gpu.up(Tensor.of(rows, 4, 4));
    for (double temperature : new double[] {0, 0.01}) {
      Options options = new Options(temperature, 0, 1, 0, 1);
      List<Options> all = List.of(options, options, options, options);
      assertThat(sample(logits, all, new long[4], new int[4], null)).containsExactly(1, -1, -1, -1);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    assertThatThrownBy(() -> new Options(-1, 0, 1, 0, 1)).hasMessageContaining("temperature:");
    assertThatThrownBy(() -> new Options(1, 0, 0, 0, 1)).hasMessageContaining("topP:");
    Tensor logits = gpu.normal(1, DType.F32, 2, 8);
    Tensor options = gpu.allocate(DType.F64, 2, 4);
    Tensor seeds = gpu.allocate(DType.I64, 2);
    Tensor draws = gpu.allocate(DType.I32, 2);
    Tensor scratch = gpu.allocate(DType.I64, CudaSampler.scratchElements(2, 8));
    assertThatThrownBy(() -> sampler.sample(logits, options, seeds, draws, null, scratch, draws))
        .hasMessage("options: expected shape [2, 5], got [2, 4]");
    Tensor wide = gpu.allocate(DType.F64, 2, 5);
    assertThatThrownBy(() -> sampler.sample(logits, wide, seeds, draws, null, scratch, draws))
        .hasMessageContaining("out: expected memory of its own");
  }
}

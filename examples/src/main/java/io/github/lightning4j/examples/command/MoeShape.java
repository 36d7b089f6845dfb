package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * A layer of experts with random weights, and what it is given.
 *
 * @param hidden width H of a token
 * @param experts E
 * @param topK experts of a token
 * @param intermediate width I of an expert
 * @param tokens of all ranks together
 * @param format of the weights: an element type, or {@code int8}, {@code int4/64}
 * @param load {@code even}, {@code skewed}, or {@code one}
 */
record MoeShape(
    int hidden, int experts, int topK, int intermediate, int tokens, String format, String load) {
  private static final Map<String, DType> TYPES =
      Map.of("f32", DType.F32, "bf16", DType.BF16, "f16", DType.F16);
  private static final Set<String> LOADS = Set.of("even", "skewed", "one");
  private static final String QUANTIZED = "int8|int[48]/(32|64|128)";
  private static final long SEED = 20251121;

  MoeShape {
    format = format.toLowerCase(Locale.ROOT);
    checkArgument(hidden >= 1, "--hidden: expected >= 1, got %s", hidden);
    checkArgument(experts >= 1, "--experts: expected >= 1, got %s", experts);
    checkArgument(
        topK >= 1 && topK <= experts, "--top-k: expected 1 to %s experts, got %s", experts, topK);
    checkArgument(intermediate >= 1, "--intermediate: expected >= 1, got %s", intermediate);
    checkArgument(tokens >= 1, "--tokens: expected >= 1, got %s", tokens);
    checkArgument(
        TYPES.containsKey(format) || format.matches(QUANTIZED),
        "--format: expected f32, bf16, f16, int8, or int8 or int4 with /32, /64 or /128, got %s",
        format);
    checkArgument(LOADS.contains(load), "--load: expected even, skewed or one, got %s", load);
  }

  /**
   * A number of experts, the part of one rank.
   *
   * @param first their first, which decides what numbers they have
   * @param width of each, I or a part of it
   */
  Experts weights(MemoryScope scope, int first, int count, int width) {
    DType type = TYPES.getOrDefault(format, DType.BF16);
    List<Tensor> gate = new ArrayList<>();
    List<Tensor> up = new ArrayList<>();
    List<Tensor> down = new ArrayList<>();
    try (MemoryScope plain = new MemoryScope()) {
      MemoryScope owner = TYPES.containsKey(format) ? scope : plain;
      for (int e = first; e < first + count; e++) {
        gate.add(random(owner.allocate(type, width, hidden), 3L * e));
        up.add(random(owner.allocate(type, width, hidden), 3L * e + 1));
        down.add(random(owner.allocate(type, hidden, width), 3L * e + 2));
      }
      ExpertWeights weights = new ExpertWeights(gate, up, down);
      return owner == scope
          ? weights
          : scope.add(QuantizedExpertWeights.quantize(weights, quantFormat()));
    }
  }

  private QuantFormat quantFormat() {
    if (format.equals("int8")) {
      return QuantFormat.int8();
    }
    int group = Integer.parseInt(format.substring(format.indexOf('/') + 1));
    return format.startsWith("int8") ? QuantFormat.int8(group) : QuantFormat.int4(group);
  }

  /** Tokens of some rank. */
  Tensor tokens(MemoryScope scope, int count, int rank) {
    return random(scope.allocate(DType.F32, count, hidden), -1L - rank);
  }

  /** The experts of the tokens of some rank. */
  Tensor index(MemoryScope scope, int count, int rank) {
    Random random = new Random(SEED + rank);
    int[] chosen = new int[count * topK];
    for (int t = 0; t < count; t++) {
      for (int j = 0; j < topK; j++) {
        int expert = load.equals("one") && j == 0 ? 0 : draw(random);
        while (contains(chosen, t * topK, j, expert)) {
          expert = (expert + 1) % experts;
        }
        chosen[t * topK + j] = expert;
      }
    }
    return scope.add(Tensor.of(chosen, count, topK));
  }

  private int draw(Random random) {
    double place = random.nextDouble();
    return (int) (experts * (load.equals("skewed") ? place * place * place : place));
  }

  private static boolean contains(int[] chosen, int from, int count, int expert) {
    for (int j = 0; j < count; j++) {
      if (chosen[from + j] == expert) {
        return true;
      }
    }
    return false;
  }

  /** Even shares. */
  Tensor weight(MemoryScope scope, int count) {
    Tensor weight = scope.allocate(DType.F32, count, topK);
    Elements to = weight.accessor();
    for (long i = 0; i < weight.elements(); i++) {
      to.set(i, 1.0 / topK);
    }
    return weight;
  }

  /** Uniform, with the variance 1 / last dimension. */
  private static Tensor random(Tensor tensor, long seed) {
    SplittableRandom random = new SplittableRandom(SEED + seed);
    double width = Math.sqrt(12.0 / tensor.size(1));
    Elements to = tensor.accessor();
    for (long i = 0; i < tensor.elements(); i++) {
      to.set(i, width * (random.nextDouble() - 0.5));
    }
    return tensor;
  }
}

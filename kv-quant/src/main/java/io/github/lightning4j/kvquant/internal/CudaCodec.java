package io.github.lightning4j.kvquant.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.quantizer.AffineGrid;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.LloydMaxGrid;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;

/**
 * What kernels are specialised by: the codes of a group, which is a head, and the basis.
 *
 * @param bits of an element, 16 for exact pages
 * @param lloydMax whether the grid is that of Lloyd and Max
 * @param scale 0 for log-scale bytes, 1 for fp16
 * @param zero 0 for none, 1 for whole and 2 for eighths in a byte, 3 for fp16
 * @param centered whether ranges are clipped about their middle
 * @param rotate whether heads are rotated
 * @param half pairs of channels that turn, where keys lack their mean; else 0
 * @param grouping of keys that are stored before the rotary embedding
 */
record CudaCodec(
    int bits,
    boolean lloydMax,
    int scale,
    int zero,
    boolean centered,
    boolean rotate,
    int half,
    Grouping grouping) {
  /** The most bytes that the codes of a layer's key take. */
  private static final int MOST_KEY_BYTES = 512;

  private static final int WARP = 32;

  /**
   * How keys are stored that are rotated over heads before the rotary embedding.
   *
   * @param heads that a rotation mixes, 0 for exact pages
   * @param turn pairs of channels that turn, 0 for keys that have turned when they come
   * @param group channels of a key that are quantized as one group
   */
  record Grouping(int heads, int turn, int group) {
    /** Of keys that have turned when they come. */
    static final Grouping NONE = new Grouping(0, 0, 0);
  }

  /** Keys that have turned when they come, or are exact. */
  CudaCodec(
      int bits, boolean lloydMax, int scale, int zero, boolean centered, boolean rotate, int half) {
    this(bits, lloydMax, scale, zero, centered, rotate, half, Grouping.NONE);
  }

  /** Of exact pages. */
  static final CudaCodec EXACT = new CudaCodec(16, false, 0, 0, false, false, 0);

  /** Of exact pages of a cache, whose keys may have to be turned when they are read. */
  static CudaCodec exact(CacheFormat format) {
    int turn = format.grouped() ? turn(format.config()) : 0;
    return new CudaCodec(16, false, 0, 0, false, false, 0, new Grouping(0, turn, 0));
  }

  private static int turn(KvCacheConfig config) {
    return config.keyBasis() == null ? 0 : config.keyBasis().inverseFrequencies().length;
  }

  /**
   * Of the packed pages of a configuration.
   *
   * @throws IllegalArgumentException if the kernels do not have its format
   */
  static CudaCodec of(KvCacheConfig config, KvQuantizer key, KvQuantizer value) {
    checkTransform(config);
    KvQuantizer like = sameGrid(key, value);
    checkArgument(
        like.bits() != 3 && like.group() >= config.headDim(),
        "format: expected 2, 4 or 8 bits in groups of a head of %s channels or more on a GPU, got"
            + " %s",
        config.headDim(),
        like);
    checkArgument(
        like.scale() == ScaleFormat.LOG8 || like.scale() == ScaleFormat.FP16,
        "format: expected scales LOG8 or FP16 on a GPU, got %s",
        like.scale());
    checkArgument(
        !(like.grid() instanceof LloydMaxGrid) || like.bits() == 2,
        "format: expected 2 bits for a Lloyd-Max grid on a GPU, got %s",
        like);
    int half =
        config.transform() instanceof KvTransform.CenteredHadamard && config.keyBasis() != null
            ? config.keyBasis().inverseFrequencies().length
            : 0;
    checkArgument(
        half % 8 == 0, "inverseFrequencies: expected a multiple of 8 on a GPU, got %s", half);
    return new CudaCodec(
        like.bits(),
        like.grid() instanceof LloydMaxGrid,
        like.scale() == ScaleFormat.FP16 ? 1 : 0,
        like.grid() instanceof AffineGrid affine ? affine.zero().ordinal() + 1 : 0,
        rule(like) == Clip.Rule.CENTERED,
        !(config.transform() instanceof KvTransform.Plain),
        half,
        grouping(config, like));
  }

  private static Grouping grouping(KvCacheConfig config, KvQuantizer like) {
    GroupedBasis basis = config.keyBasis() == null ? null : config.keyBasis().rotation();
    if (basis == null) {
      return Grouping.NONE;
    }
    int channels = config.kvHeads() * config.headDim();
    int group = Math.min(like.group(), channels);
    checkArgument(
        like.grid() instanceof AffineGrid && like.bits() < 8,
        "format: expected 2 or 4 bits, affine, for keys rotated over heads on a GPU, got %s",
        like);
    checkArgument(
        Integer.bitCount(basis.heads()) == 1 && basis.heads() * config.headDim() <= 16 * WARP,
        "transform: expected rotations over 2^k channels, at most %s, on a GPU, got %s heads of %s",
        16 * WARP,
        basis.heads(),
        config.headDim());
    checkArgument(
        channels * like.bits() / 8 <= MOST_KEY_BYTES,
        "config: expected at most %s bytes of codes for a layer's key rotated over heads on a GPU,"
            + " got %s",
        MOST_KEY_BYTES,
        channels * like.bits() / 8);
    checkArgument(
        channels % group == 0
            && channels / group <= WARP
            && (group == WARP || group == 2 * WARP || group == 4 * WARP),
        "format: expected groups of 32, 64 or 128 that divide the %s channels of a layer's key on a"
            + " GPU, got %s",
        channels,
        group);
    int turn = turn(config);
    checkArgument(
        turn > 0 && turn % 8 == 0,
        "inverseFrequencies: expected a multiple of 8 on a GPU, got %s",
        turn);
    return new Grouping(basis.heads(), turn, group);
  }

  private static void checkTransform(KvCacheConfig config) {
    checkArgument(
        config.transform() instanceof KvTransform.Plain
            || config.transform() instanceof KvTransform.HeadHadamard
            || config.transform() instanceof KvTransform.CenteredHadamard
            || config.transform() instanceof KvTransform.PreRopeGrouped,
        "transform: expected one without dense pairs on a GPU, got %s; the preset kv2 has"
            + " CenteredHadamard",
        config.transform());
  }

  /** Keys and values differ in how much is clipped at most. */
  private static KvQuantizer sameGrid(KvQuantizer key, KvQuantizer value) {
    boolean affine =
        key.grid() instanceof AffineGrid a
            && value.grid() instanceof AffineGrid b
            && a.zero() == b.zero();
    checkArgument(
        key.bits() == value.bits()
            && key.group() == value.group()
            && key.scale() == value.scale()
            && (affine || key.grid().equals(value.grid()))
            && rule(key) == rule(value),
        "format: expected one for keys and values on a GPU but for how much is clipped, got %s and"
            + " %s",
        key,
        value);
    checkArgument(
        rule(key) != Clip.Rule.PERCENTILE,
        "format: expected a range clipped by a factor on a GPU, got %s",
        key);
    return key;
  }

  private static Clip.Rule rule(KvQuantizer quantizer) {
    return quantizer.grid() instanceof AffineGrid affine ? affine.clip().rule() : Clip.Rule.PAPER;
  }

  /** The factor by which a range is clipped. */
  static double clip(KvQuantizer quantizer) {
    return quantizer.grid() instanceof AffineGrid affine ? affine.clip().value() : 1;
  }

  /** The constants of a kernel that reads packed pages. */
  KernelSource define(KernelSource source, int dim) {
    return source
        .define("D", dim)
        .define("BITS", bits)
        .define("LLOYD_MAX", lloydMax ? 1 : 0)
        .define("SCALE", scale)
        .define("ZERO", zero)
        .define("ROTATE", rotate ? 1 : 0)
        .define("HALF", half)
        .define("GROUPED", grouping.heads())
        .define("TURN", grouping.turn())
        .define("KEY_GROUP", grouping.group() == 0 ? dim : grouping.group());
  }
}

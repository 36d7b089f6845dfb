package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.kernel.NativeLibrary;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;

/** The functions of {@code kv_quant.cpp}: addresses and sizes that the facades have checked. */
@Platform(include = "kv_quant.cpp", library = "jnikvquant", compiler = "cpp17")
@NoException
public final class KvQuantKernels {
  private KvQuantKernels() {}

  /** The library, loaded on first use. */
  public static NativeLibrary library() {
    return Holder.LIBRARY;
  }

  @Name("l4j_kv_init")
  static native int initialize(int isa);

  /** {@code cache} is a Cache. */
  @Name("l4j_kv_append")
  static native void append(
      long cache,
      long k,
      long kToken,
      long kHead,
      long v,
      long vToken,
      long vHead,
      long first,
      long from,
      long to);

  @Name("l4j_kv_append_packed")
  static native void appendPacked(
      long cache,
      long k,
      long kToken,
      long kHead,
      long v,
      long vToken,
      long vHead,
      long first,
      long from,
      long to);

  @Name("l4j_kv_age")
  static native void age(long cache, long from, long to);

  @Name("l4j_kv_read")
  static native void read(
      long cache,
      long k,
      long kToken,
      long kHead,
      long v,
      long vToken,
      long vHead,
      long from,
      long to);

  @Name("l4j_kv_first_non_finite")
  static native long firstNonFinite(
      long x, long token, long head, long heads, long headDim, long from, long to);

  /** Tiles {@code [from, to)}, each over all its keys; {@code call} is an AttentionCall. */
  @Name("l4j_kv_attend_tiles")
  static native void attendTiles(long call, long from, long to);

  /** Pairs of a tile and a range of keys, {@code [from, to)}, into {@code partials}. */
  @Name("l4j_kv_attend_ranges")
  static native void attendRanges(long call, long partials, long from, long to);

  /** Merges the partials of tiles {@code [from, to)} and writes their outputs. */
  @Name("l4j_kv_merge_ranges")
  static native void mergeRanges(long call, long partials, long from, long to);

  /** Ranges {@code [from, to)} for tiles {@code [tileFrom, tileTo)} of every head. */
  @Name("l4j_kv_attend_grouped")
  static native void attendGrouped(
      long call, long partials, long tileFrom, long tileTo, long from, long to);

  /** Merges the partials of the chunk's tiles {@code [from, to)}, counted over all heads. */
  @Name("l4j_kv_merge_grouped")
  static native void mergeGrouped(
      long call, long partials, long tileFrom, long tileTo, long from, long to);

  /** Blocks of n channels of rows {@code [from, to)}. */
  @Name("l4j_kv_hadamard")
  static native void hadamard(
      long x, long ldx, long y, long ldy, long width, long n, long from, long to);

  @Name("l4j_kv_gather_channels")
  static native void gatherChannels(
      long x, long ldx, long y, long ldy, long index, long width, long from, long to);

  @Name("l4j_kv_add_row")
  static native void addRow(
      long x, long ldx, long row, float factor, long y, long ldy, long width, long from, long to);

  private static final class Holder {
    static final NativeLibrary LIBRARY =
        NativeLibrary.load("kv-quant", KvQuantKernels.class, KvQuantKernels::initialize);
  }
}

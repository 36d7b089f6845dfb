package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.kernel.NativeLibrary;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * The functions of {@code lightning_attention.cpp}. Calls are the blocks of {@code calls.h}, which
 * {@link CpuLightning} writes from what the facades have checked. Those that return a boolean tell
 * whether they got their scratch memory.
 */
@Platform(include = "lightning_attention.cpp", library = "jniattention", compiler = "cpp17")
@NoException
public final class AttentionKernels {
  private AttentionKernels() {}

  /** The library, loaded on first use. */
  public static NativeLibrary library() {
    return Holder.LIBRARY;
  }

  @Name("l4j_attention_init")
  static native int initialize(int isa);

  @Name("l4j_lightning_prefill")
  static native boolean prefill(
      @Cast("const int64_t*") long[] call,
      @Cast("const int64_t*") long[] sequences,
      long from,
      long to);

  @Name("l4j_lightning_decode")
  static native boolean decode(@Cast("const int64_t*") long[] call, long from, long to);

  @Name("l4j_lightning_backward")
  static native boolean backward(
      @Cast("const int64_t*") long[] call,
      @Cast("const int64_t*") long[] sequences,
      long from,
      long to);

  @Name("l4j_lightning_combine")
  static native void combine(@Cast("const int64_t*") long[] call, long from, long to);

  @Name("l4j_gated_norm")
  static native void gatedNorm(
      int xtype,
      long x,
      long ldx,
      int gtype,
      long gate,
      long ldg,
      int wtype,
      long weight,
      float eps,
      int otype,
      long out,
      long ldo,
      long t0,
      long t1,
      long n);

  @Name("l4j_gated_norm_backward")
  static native boolean gatedNormBackward(
      int xtype,
      long x,
      long ldx,
      int gtype,
      long gate,
      long ldg,
      int wtype,
      long weight,
      float eps,
      int dtype,
      long dOut,
      long lddo,
      long dx,
      long lddx,
      long dGate,
      long lddg,
      long dWeight,
      long t0,
      long t1,
      long n);

  @Name("l4j_add_up")
  static native void addUp(long parts, long count, long n, long to, long from, long end);

  private static final class Holder {
    static final NativeLibrary LIBRARY =
        NativeLibrary.load(
            "lightning-attention", AttentionKernels.class, AttentionKernels::initialize);
  }
}

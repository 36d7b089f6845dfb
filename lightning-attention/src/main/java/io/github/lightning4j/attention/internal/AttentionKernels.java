package io.github.lightning4j.attention.internal;

import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * The functions of {@code lightning_attention.cpp}: addresses, strides and sizes that the facades
 * have checked. Those that return a boolean tell whether they got their scratch memory. The class
 * names no class of another artifact, because the native build sees only this one's.
 */
@Platform(include = "lightning_attention.cpp", library = "jniattention", compiler = "cpp17")
@NoException
public final class AttentionKernels {
  private AttentionKernels() {}

  @Name("l4j_attention_init")
  static native int initialize(int isa);

  @Name("l4j_lightning_prefill")
  static native boolean prefill(
      long q,
      long ldq,
      long k,
      long ldk,
      long v,
      long ldv,
      double logDecay,
      float scale,
      boolean silu,
      long state,
      long out,
      long ldo,
      long tokens,
      long dk,
      long dv);

  @Name("l4j_lightning_decode")
  static native boolean decode(
      long q,
      long qRow,
      long qHead,
      long k,
      long kRow,
      long kHead,
      long v,
      long vRow,
      long vHead,
      long logDecay,
      float scale,
      boolean silu,
      long pool,
      long slots,
      long out,
      long outRow,
      long outHead,
      long heads,
      long dk,
      long dv,
      long from,
      long to);

  @Name("l4j_lightning_backward")
  static native boolean backward(
      long q,
      long ldq,
      long k,
      long ldk,
      long v,
      long ldv,
      double logDecay,
      float scale,
      boolean silu,
      long initial,
      long dOut,
      long lddo,
      long dFinal,
      long outDq,
      long lddq,
      long outDk,
      long lddk,
      long outDv,
      long lddv,
      long outDInitial,
      long outDLogDecay,
      long tokens,
      long dk,
      long dv);

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
}

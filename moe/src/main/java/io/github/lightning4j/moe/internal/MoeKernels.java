package io.github.lightning4j.moe.internal;

import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;

/**
 * The functions of {@code moe.cpp}: addresses and sizes that the facades have checked. JavaCPP
 * reads this class with nothing but this module on its class path, so it must not name types of
 * core.
 */
@Platform(include = "moe.cpp", library = "jnimoe", compiler = "cpp17")
@NoException
final class MoeKernels {
  private MoeKernels() {}

  @Name("l4j_moe_init")
  static native int initialize(int isa);

  @Name("l4j_moe_route")
  static native @Cast("int64_t") long route(
      long logits,
      long ldl,
      long experts,
      long k,
      int score,
      int normalized,
      float scale,
      long groups,
      long topGroups,
      long groupBest,
      long bias,
      long scratch,
      long index,
      long ldi,
      long weight,
      long ldw,
      long t0,
      long t1);

  @Name("l4j_moe_route_backward")
  static native void routeBackward(
      long logits,
      long ldl,
      long experts,
      long k,
      int score,
      int normalized,
      float scale,
      long index,
      long ldi,
      long dWeight,
      long ldw,
      long dLogits,
      long ldd,
      long t0,
      long t1);

  @Name("l4j_moe_jitter")
  static native void jitter(
      long x,
      long ldx,
      long h,
      float low,
      float span,
      long seed,
      long out,
      long ldo,
      long t0,
      long t1);

  @Name("l4j_moe_gate_up")
  static native void gateUp(
      int wtype,
      long experts,
      long x,
      long ldx,
      long pairs,
      long slots,
      long h,
      long i,
      long hidden,
      long from,
      long to);

  @Name("l4j_moe_down")
  static native void down(
      int wtype, long experts, long hidden, long h, long i, long y, long from, long to);

  @Name("l4j_moe_quantize_rows")
  static native void quantizeRows(
      long matrix, long x, long ldx, long out, long rows, long from, long to);

  @Name("l4j_moe_quant_gate_up")
  static native void quantGateUp(
      long experts,
      long x,
      long tokens,
      long pairs,
      long slots,
      long i,
      long hidden,
      long from,
      long to);

  @Name("l4j_moe_quant_down")
  static native void quantDown(
      long experts, long hidden, long pairs, long h, long y, long from, long to);

  @Name("l4j_moe_gather")
  static native void gather(
      long x, long ldx, long pairs, long slots, long h, long rows, long from, long to);

  @Name("l4j_moe_panel_tokens")
  static native @Cast("int64_t") long panelTokens();

  @Name("l4j_moe_gate_up_rows")
  static native @Cast("int64_t") long gateUpRows(int wtype);

  @Name("l4j_moe_down_rows")
  static native @Cast("int64_t") long downRows(int wtype);

  @Name("l4j_moe_panel_bytes")
  static native @Cast("int64_t") long panelBytes(int wtype, long parts, long k);

  @Name("l4j_moe_pack_panels")
  static native void packPanels(
      int wtype,
      long parts,
      long experts,
      long size,
      long x,
      long ldx,
      long pairs,
      long slots,
      long h,
      long panels,
      long from,
      long to);

  @Name("l4j_moe_prefill_gate_up")
  static native void prefillGateUp(
      int wtype,
      long parts,
      long experts,
      long size,
      long panels,
      long h,
      long i,
      long hidden,
      long from,
      long to);

  @Name("l4j_moe_prefill_down")
  static native void prefillDown(
      int wtype,
      long parts,
      long experts,
      long size,
      long hidden,
      long h,
      long i,
      long y,
      long from,
      long to);

  @Name("l4j_moe_quant_gate_up_rows")
  static native @Cast("int64_t") long quantGateUpRows();

  @Name("l4j_moe_quant_down_rows")
  static native @Cast("int64_t") long quantDownRows();

  @Name("l4j_moe_quant_panel_bytes")
  static native @Cast("int64_t") long quantPanelBytes(long matrix);

  @Name("l4j_moe_quant_pack_panels")
  static native void quantPackPanels(
      long matrix,
      long experts,
      long size,
      long x,
      long ldx,
      long pairs,
      long slots,
      long panels,
      long from,
      long to);

  @Name("l4j_moe_quant_prefill_gate_up")
  static native void quantPrefillGateUp(
      long experts, long size, long panels, long i, long hidden, long from, long to);

  @Name("l4j_moe_quant_prefill_down")
  static native void quantPrefillDown(
      long experts, long size, long panels, long h, long y, long from, long to);

  @Name("l4j_moe_combine")
  static native void combine(
      long y,
      long positions,
      long slots,
      long weight,
      long ldw,
      long h,
      long out,
      long ldo,
      long t0,
      long t1);

  @Name("l4j_moe_mix")
  static native void mix(
      int wtype,
      long x,
      long ldx,
      long coefficient,
      long shared,
      long h,
      long inOut,
      long ldo,
      long t0,
      long t1);

  @Name("l4j_moe_scaled_rows")
  static native void scaledRows(
      int type,
      long c,
      long cm,
      long cr,
      long rows,
      long ldr,
      long count,
      long out,
      long ldo,
      long m,
      int add,
      long n0,
      long n1);

  @Name("l4j_moe_swiglu_backward")
  static native void swigluBackward(
      long g,
      long u,
      long q,
      long pairs,
      long slots,
      long weight,
      long ldw,
      long dWeight,
      long lddw,
      long i,
      long r0,
      long r1);
}

package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.kernel.NativeLibrary;
import org.bytedeco.javacpp.annotation.Cast;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;

/** The functions of {@code core.cpp}: addresses and sizes that the facades have checked. */
@Platform(include = "core.cpp", library = "jnicore", compiler = "cpp17", link = "dl")
@NoException
public final class CoreKernels {
  private CoreKernels() {}

  /** The library, loaded on first use. */
  public static NativeLibrary library() {
    return Holder.LIBRARY;
  }

  @Name("l4j_core_init")
  static native int initialize(int isa);

  /** The features of this CPU that kernels care about, separated by spaces. */
  @Name("l4j_cpu_features")
  public static native @Cast("const char*") String cpuFeatures();

  /** Asks for large pages for memory that has not been touched yet; a hint that may be ignored. */
  @Name("l4j_prefer_large_pages")
  public static native void preferLargePages(long address, long bytes);

  @Name("l4j_gemm")
  static native void gemm(
      int wtype,
      long a,
      long lda,
      long w,
      long ldw,
      long out,
      long ldo,
      long m,
      long n0,
      long n1,
      long k);

  @Name("l4j_widen")
  static native void widen(int type, long from, long to, long n);

  @Name("l4j_rms_norm")
  static native void rmsNorm(
      int wtype,
      long x,
      long ldx,
      long weight,
      long out,
      long ldo,
      long t0,
      long t1,
      long h,
      float eps);

  @Name("l4j_scaled_sum")
  static native void scaledSum(long x, float alpha, long y, float beta, long out, long n);

  @Name("l4j_sum_norm")
  static native void sumNorm(
      int wtype,
      long x,
      float alpha,
      long y,
      float beta,
      long weight,
      long sum,
      long normed,
      long t0,
      long t1,
      long h,
      float eps);

  @Name("l4j_rope")
  static native void rope(
      long x,
      long ldt,
      long ldh,
      long t0,
      long t1,
      long heads,
      long rotaryDim,
      long invFreq,
      long firstPosition);

  @Name("l4j_gather_rows")
  static native void gatherRows(
      int type, long table, long row, long ids, long out, long ldo, long t0, long t1);

  @Name("l4j_layer_norm")
  static native void layerNorm(
      long x,
      long ldx,
      long weight,
      long bias,
      long out,
      long ldo,
      long t0,
      long t1,
      long h,
      float eps);

  @Name("l4j_add_bias")
  static native void addBias(
      int activation, long x, long ldx, long bias, long out, long ldo, long t0, long t1, long h);

  @Name("l4j_quantize")
  static native @Cast("int64_t") long quantize(
      int wtype, long w, long ldw, long matrix, int whole, long report, long n0, long n1);

  @Name("l4j_dequantize")
  static native void dequantize(long matrix, long out, long ldo, long n0, long n1);

  @Name("l4j_quant_gemm")
  static native int quantGemm(
      long matrix, long a, long lda, long out, long ldo, long m, long n0, long n1);

  /** The rows of activations in a panel against bf16 weights; 0 without tiles. */
  @Name("l4j_bf16_panel_tokens")
  static native @Cast("int64_t") long bf16PanelTokens();

  @Name("l4j_bf16_panel_bytes")
  static native @Cast("int64_t") long bf16PanelBytes(long parts, long k);

  @Name("l4j_bf16_pack")
  static native void bf16Pack(
      long a, long lda, long m, long k, long parts, long panels, long p0, long p1);

  @Name("l4j_bf16_panel_gemm")
  static native void bf16PanelGemm(
      long w,
      long ldw,
      long parts,
      long panels,
      long out,
      long ldo,
      long m,
      long k,
      long n0,
      long n1);

  @Name("l4j_quant_panel_tokens")
  static native @Cast("int64_t") long quantPanelTokens();

  @Name("l4j_quant_block_rows")
  static native @Cast("int64_t") long quantBlockRows();

  @Name("l4j_quant_panel_bytes")
  static native @Cast("int64_t") long quantPanelBytes(long matrix);

  @Name("l4j_quant_pack")
  static native void quantPack(
      long matrix, long a, long lda, long m, long panels, long p0, long p1);

  @Name("l4j_quant_panel_gemm")
  static native void quantPanelGemm(
      long matrix, long panels, long out, long ldo, long m, long n0, long n1);

  /** Multiply-adds in registers; returns the operations done. */
  @Name("l4j_fma_chains")
  public static native @Cast("int64_t") long fmaChains(long rounds);

  /** Tile products, only where the CPU has {@code Isa.AMX}; returns the operations done. */
  @Name("l4j_amx_chains")
  public static native @Cast("int64_t") long amxChains(long rounds);

  /** Reads n floats, a multiple of 128. */
  @Name("l4j_read_memory")
  public static native void readMemory(long address, long n);

  /** Copies n floats, a multiple of 16, past the caches to an address aligned to 64 bytes. */
  @Name("l4j_copy_memory")
  public static native void copyMemory(long from, long to, long n);

  /** The size of the largest cache; 0 where the system does not say. */
  @Name("l4j_cache_bytes")
  public static native @Cast("int64_t") long cacheBytes();

  /** Maps a whole file read-only; 0 where the system refuses. */
  @Name("l4j_map_file")
  public static native @Cast("int64_t") long mapFile(@Cast("const char*") String path, long bytes);

  /** Gives back the memory that whole pages of a mapped file take. */
  @Name("l4j_release_pages")
  public static native int releasePages(long address, long bytes);

  /** Ends a mapping. */
  @Name("l4j_unmap")
  public static native int unmap(long address, long bytes);

  @Name("l4j_openmp_single_thread")
  static native int openMpSingleThread();

  private static final class Holder {
    static final NativeLibrary LIBRARY =
        NativeLibrary.load("core", CoreKernels.class, CoreKernels::initialize);
  }
}

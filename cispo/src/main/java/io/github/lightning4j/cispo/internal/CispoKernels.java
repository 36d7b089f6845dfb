package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.core.kernel.NativeLibrary;
import org.bytedeco.javacpp.annotation.Name;
import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;

/** The functions of {@code cispo.cpp}: addresses and sizes that the facade has checked. */
@Platform(include = "cispo.cpp", library = "jnicispo", compiler = "cpp17")
@NoException
public final class CispoKernels {
  private CispoKernels() {}

  /** The library, loaded on first use. */
  public static NativeLibrary library() {
    return Holder.LIBRARY;
  }

  @Name("l4j_cispo_init")
  static native int initialize(int isa);

  /** Units {@code [from, to)} of a token tile and a range of words; {@code call} is a HeadCall. */
  @Name("l4j_head_forward")
  static native void forward(long call, long from, long to, long scratch);

  /** Tokens {@code [from, to)}, from what their units found. */
  @Name("l4j_head_merge")
  static native void merge(long call, long from, long to);

  /** Units {@code [from, to)} of the gradient of the logits in a block. */
  @Name("l4j_head_d_logits")
  static native void dLogits(
      long call, long token, long tokens, long word, long words, long from, long to, long scratch);

  /** Units {@code [from, to)} of what a block gives the hidden states. */
  @Name("l4j_head_d_hidden")
  static native void dHidden(
      long call,
      long token,
      long tokens,
      long word,
      long words,
      int add,
      long from,
      long to,
      long scratch);

  /** Units {@code [from, to)} of what a block gives the head. */
  @Name("l4j_head_d_head")
  static native void dHead(
      long call,
      long token,
      long tokens,
      long word,
      long words,
      int add,
      long from,
      long to,
      long scratch);

  private static final class Holder {
    static final NativeLibrary LIBRARY =
        NativeLibrary.load("cispo", CispoKernels.class, CispoKernels::initialize);
  }
}

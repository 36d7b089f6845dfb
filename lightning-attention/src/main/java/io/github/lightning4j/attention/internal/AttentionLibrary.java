package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.kernel.NativeLibrary;

/** The native library of this module. */
public final class AttentionLibrary {
  private static final NativeLibrary LIBRARY =
      NativeLibrary.load(
          "lightning-attention", AttentionKernels.class, AttentionKernels::initialize);

  private AttentionLibrary() {}

  /** The library, loaded on first use. */
  public static NativeLibrary library() {
    return LIBRARY;
  }
}

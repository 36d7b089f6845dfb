package io.github.lightning4j.minimax;

/**
 * How many bytes weights take in a format. Linear layers (attention, experts, shared expert) take
 * the format; embedding, head, norms and the vision side stay bf16 and the router fp32, as in the
 * released checkpoints.
 */
public enum StorageFormat {
  /** 16 bits a weight. */
  BF16(2),
  /** 8 bits, and a 16-bit scale for each 128 weights. */
  INT8_G128(1 + 2 / 128.0),
  /** 4 bits, and a 16-bit scale for each 128 weights. */
  INT4_G128(0.5 + 2 / 128.0);

  private final double linearBytes;

  StorageFormat(double linearBytes) {
    this.linearBytes = linearBytes;
  }

  /** Bytes a weight of this role takes. */
  public double bytes(WeightRole role) {
    return switch (role) {
      case ATTENTION, EXPERT, SHARED_EXPERT -> linearBytes;
      case ROUTER -> 4;
      case EMBEDDING, HEAD, NORM, VISION -> 2;
    };
  }
}

package io.github.lightning4j.kvquant.quantizer;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * How codes are packed into bytes: in stripes, so that one shift and one mask give a run of
 * neighbouring channels without moving lanes. For n channels:
 *
 * <pre>
 *   2 bits   byte j = c[j] | c[j + n/4] &lt;&lt; 2 | c[j + n/2] &lt;&lt; 4 | c[j + 3n/4] &lt;&lt; 6     j &lt; n/4
 *   4 bits   byte j = c[j] | c[j + n/2] &lt;&lt; 4                                         j &lt; n/2
 *   8 bits   byte j = c[j]                                                           j &lt; n
 *   3 bits   the lower two bits as above, then the upper bits in eight stripes:
 *            bit k of byte n/4 + j = c[j + k n/8] &gt;&gt; 2                                j &lt; n/8
 * </pre>
 */
public final class CodeLayout {
  private CodeLayout() {}

  /**
   * Bytes that n packed codes take, {@code n bits / 8}.
   *
   * @throws IllegalArgumentException unless n is a positive multiple of 8 and bits 2, 3, 4 or 8
   */
  public static int bytes(int n, int bits) {
    checkArgument(n > 0 && n % 8 == 0, "n: expected a positive multiple of 8, got %s", n);
    checkArgument(
        bits == 2 || bits == 3 || bits == 4 || bits == 8,
        "bits: expected 2, 3, 4 or 8, got %s",
        bits);
    return n * bits / 8;
  }

  /**
   * Packs all codes.
   *
   * @throws IllegalArgumentException if their number is no multiple of 8
   */
  public static byte[] pack(byte[] codes, int bits) {
    int n = codes.length;
    byte[] packed = new byte[bytes(n, bits)];
    if (bits == 3) {
      packPlane(codes, 0, 2, packed, 0);
      packPlane(codes, 2, 1, packed, n / 4);
    } else {
      packPlane(codes, 0, bits, packed, 0);
    }
    return packed;
  }

  /**
   * Unpacks n codes.
   *
   * @throws IllegalArgumentException if there are more or fewer
   */
  public static byte[] unpack(byte[] packed, int n, int bits) {
    int expected = bytes(n, bits);
    checkArgument(
        packed.length == expected, "packed: expected %s bytes, got %s", expected, packed.length);
    byte[] codes = new byte[n];
    if (bits == 3) {
      unpackPlane(packed, 0, 2, codes, 0);
      unpackPlane(packed, n / 4, 1, codes, 2);
    } else {
      unpackPlane(packed, 0, bits, codes, 0);
    }
    return codes;
  }

  /** {@code width} bits of every code, from bit {@code lowest} on. */
  private static void packPlane(byte[] codes, int lowest, int width, byte[] packed, int at) {
    int stripe = codes.length * width / 8;
    int mask = (1 << width) - 1;
    for (int i = 0; i < codes.length; i++) {
      packed[at + i % stripe] |= (byte) ((codes[i] >> lowest & mask) << width * (i / stripe));
    }
  }

  private static void unpackPlane(byte[] packed, int at, int width, byte[] codes, int lowest) {
    int stripe = codes.length * width / 8;
    int mask = (1 << width) - 1;
    for (int i = 0; i < codes.length; i++) {
      codes[i] |= (byte) ((packed[at + i % stripe] >> width * (i / stripe) & mask) << lowest);
    }
  }
}

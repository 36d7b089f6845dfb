package io.github.lightning4j.kvquant.quantizer;

/** Numbers of one, two or four bytes in an array, the lower byte first. */
final class Metadata {
  private Metadata() {}

  static void put(byte[] to, int index, int bytes, int encoded) {
    for (int i = 0; i < bytes; i++) {
      to[index * bytes + i] = (byte) (encoded >> 8 * i);
    }
  }

  static int get(byte[] from, int index, int bytes) {
    int encoded = 0;
    for (int i = 0; i < bytes; i++) {
      encoded |= (from[index * bytes + i] & 0xff) << 8 * i;
    }
    return encoded;
  }
}

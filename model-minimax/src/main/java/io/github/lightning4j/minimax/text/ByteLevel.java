package io.github.lightning4j.minimax.text;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * GPT-2's spelling of bytes as printable characters.
 *
 * <p>A byte-level vocabulary file writes each byte as one character: the 188 bytes that print in
 * Latin-1 ({@code !..~}, {@code ¡..¬}, {@code ®..ÿ}) stand for themselves, the other 68 take
 * U+0100, U+0101, ... in byte order. The spelling says nothing about ids: the released vocabulary
 * numbers its bytes by value.
 */
final class ByteLevel {
  private static final short[] BYTE_OF = new short[256 + 68];

  static {
    Arrays.fill(BYTE_OF, (short) -1);
    int next = 256;
    for (int value = 0; value < 256; value++) {
      int character = prints(value) ? value : next++;
      BYTE_OF[character] = (short) value;
    }
  }

  private ByteLevel() {}

  private static boolean prints(int value) {
    return value >= '!' && value <= '~'
        || value >= 0xA1 && value <= 0xAC
        || value >= 0xAE && value <= 0xFF;
  }

  /**
   * The bytes of a token. A name with a character outside the table is no byte spelling (an added
   * token, say, with a space in it) and stands for its own UTF-8; the Hugging Face decoder has the
   * same rule.
   */
  static byte[] bytes(String token) {
    byte[] bytes = new byte[token.length()];
    for (int i = 0; i < bytes.length; i++) {
      char c = token.charAt(i);
      if (c >= BYTE_OF.length || BYTE_OF[c] < 0) {
        return token.getBytes(StandardCharsets.UTF_8);
      }
      bytes[i] = (byte) BYTE_OF[c];
    }
    return bytes;
  }
}

package io.github.lightning4j.minimax.text;

import java.nio.charset.StandardCharsets;

/**
 * Reads bytes as UTF-8, with U+FFFD for what is none, as the Hugging Face tokenizer does.
 *
 * <p>Rust and Python agree with the JDK on every malformed sequence but one: a surrogate spelled in
 * three bytes ({@code ED A0..BF xx}) is one U+FFFD to the JDK and one a byte to them.
 */
final class LossyUtf8 {
  private LossyUtf8() {}

  static String decode(byte[] bytes) {
    separateSurrogates(bytes, bytes.length);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  /**
   * Replaces the lead byte of each spelled surrogate by one that is never valid, so that the JDK
   * counts its bytes one by one. {@code ED} is always a lead byte, so its successor decides.
   */
  static void separateSurrogates(byte[] bytes, int length) {
    for (int i = 0; i + 1 < length; i++) {
      if (bytes[i] == (byte) 0xED && bytes[i + 1] >= (byte) 0xA0 && bytes[i + 1] <= (byte) 0xBF) {
        bytes[i] = (byte) 0xFF;
      }
    }
  }
}

package io.github.lightning4j.kvquant.quantizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class CodeLayoutTest {
  @Test
  void twoBitsLieInFourStripes() {
    byte[] codes = new byte[128];
    byte[] expected = new byte[32];
    for (int i = 0; i < 128; i++) {
      codes[i] = (byte) (i % 4);
      expected[i / 4] = (byte) (i / 4 % 4 * 0x55);
    }
    assertThat(CodeLayout.pack(codes, 2)).isEqualTo(expected); // 00 55 AA FF over and over
    for (int i = 0; i < 128; i++) {
      codes[i] = (byte) (i / 32);
    }
    assertThat(CodeLayout.pack(codes, 2)).containsOnly(0xe4);
  }

  @Test
  void fourBitsLieInTwoStripes() {
    byte[] codes = {0, 1, 2, 3, 12, 13, 14, 15};
    assertThat(CodeLayout.pack(codes, 4)).containsExactly(0xc0, 0xd1, 0xe2, 0xf3);
  }

  @Test
  void threeBitsLieInTwoPlanes() {
    byte[] codes = {0, 1, 2, 3, 4, 5, 6, 7};
    // Lower bits 0 1 2 3 0 1 2 3 in stripes of two, upper bits 0 0 0 0 1 1 1 1.
    assertThat(CodeLayout.pack(codes, 3)).containsExactly(0b10_00_10_00, 0b11_01_11_01, 0xf0);
  }

  @Test
  void eightBitsLieAsTheyAre() {
    byte[] codes = {0, 1, -1, 127, -128, 5, 6, 7};
    assertThat(CodeLayout.pack(codes, 8)).isEqualTo(codes);
  }

  @Test
  void whatWasPackedComesBack() {
    Random random = new Random(3);
    for (int bits : new int[] {2, 3, 4, 8}) {
      for (int n : new int[] {8, 16, 24, 32, 64, 96, 128, 256}) {
        byte[] codes = new byte[n];
        for (int i = 0; i < n; i++) {
          codes[i] = (byte) random.nextInt(1 << bits);
        }
        byte[] packed = CodeLayout.pack(codes, bits);
        assertThat(packed).hasSize(n * bits / 8);
        assertThat(CodeLayout.unpack(packed, n, bits)).isEqualTo(codes);
      }
    }
  }

  @Test
  void refusesWhatDoesNotFillBytes() {
    assertThatThrownBy(() -> CodeLayout.pack(new byte[12], 2))
        .hasMessage("n: expected a positive multiple of 8, got 12");
    assertThatThrownBy(() -> CodeLayout.pack(new byte[16], 5))
        .hasMessage("bits: expected 2, 3, 4 or 8, got 5");
    assertThatThrownBy(() -> CodeLayout.unpack(Arrays.copyOf(new byte[0], 5), 16, 2))
        .hasMessage("packed: expected 4 bytes, got 5");
  }
}

package io.github.lightning4j.core.kernel;

import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Instruction sets that native kernels are compiled for, weakest first. */
public enum Isa {
  /** x86-64-v3: AVX2, FMA, F16C. */
  AVX2(1),
  /** AVX-512 F, BW, VL, DQ. */
  AVX512(2),
  /**
   * {@link #AVX512} and products of four bytes at once (VNNI). Modules without kernels for it use
   * those of AVX-512.
   */
  AVX512_VNNI(3),
  /**
   * AMX tiles of bf16 and of bytes, beyond {@link #AVX512_VNNI}, where Linux grants their use.
   * Modules without kernels for it use those of the sets before it.
   */
  AMX(4);

  /** The system property that forces a weaker set than the machine has. */
  public static final String PROPERTY = "lightning4j.cpu.isa";

  private final int code;

  Isa(int code) {
    this.code = code;
  }

  /** The number native code knows it by. */
  public int code() {
    return code;
  }

  /** The set with this number, or null for 0, which means none. */
  static @Nullable Isa ofCode(int code) {
    return Arrays.stream(values()).filter(isa -> isa.code == code).findFirst().orElse(null);
  }

  /**
   * The set to use on a machine that can run {@code best}.
   *
   * @throws IllegalArgumentException if the property asks for an unknown set or one beyond {@code
   *     best}
   */
  static Isa chosen(Isa best) {
    String wanted = System.getProperty(PROPERTY);
    if (wanted == null) {
      return best;
    }
    for (Isa isa : values()) {
      if (isa.name().equals(wanted.toUpperCase(Locale.ROOT))) {
        if (isa.code > best.code) {
          throw new IllegalArgumentException(
              PROPERTY + ": this CPU has " + best + " at most, got " + wanted);
        }
        return isa;
      }
    }
    throw new IllegalArgumentException(
        PROPERTY + ": expected one of " + Arrays.toString(values()) + ", got " + wanted);
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}

package io.github.lightning4j.core.kernel;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Backend;
import java.lang.System.Logger.Level;
import java.util.function.IntUnaryOperator;
import org.bytedeco.javacpp.Loader;
import org.jspecify.annotations.Nullable;

/**
 * The native library of one module, loaded at most once.
 *
 * <p>Loading never throws: what went wrong is kept in {@link #availability()}, with the way out.
 * The system property {@code lightning4j.reference=true} keeps every library from being loaded.
 */
public final class NativeLibrary {
  /** The system property that forces the reference implementations. */
  public static final String REFERENCE_PROPERTY = "lightning4j.reference";

  private final String artifact;
  private final @Nullable Isa isa;
  private final Availability availability;
  private final boolean misconfigured;

  private NativeLibrary(
      String artifact, @Nullable Isa isa, Availability availability, boolean misconfigured) {
    this.artifact = artifact;
    this.isa = isa;
    this.availability = availability;
    this.misconfigured = misconfigured;
  }

  /**
   * Loads a module's library and fills its kernel table.
   *
   * @param artifact the artifact id, for messages and for the fix
   * @param kernels the class whose native methods the library implements
   * @param initialize the native method that takes the {@link Isa#code()} wanted (0: the best one)
   *     and returns the best code this CPU can run, 0 if none
   */
  public static NativeLibrary load(String artifact, Class<?> kernels, IntUnaryOperator initialize) {
    if (Boolean.getBoolean(REFERENCE_PROPERTY)) {
      return unavailable(
          artifact,
          "the system property " + REFERENCE_PROPERTY + " forces the reference implementations",
          "remove it");
    }
    NativeLibrary library;
    try {
      Loader.load(kernels);
      library = initialized(artifact, initialize);
    } catch (UnsatisfiedLinkError | NoClassDefFoundError e) {
      library =
          unavailable(
              artifact,
              "no native library for " + platform() + " on the class path (" + e.getMessage() + ")",
              "add io.github.lightning4j:platform (or "
                  + artifact
                  + " with classifier "
                  + platform()
                  + ") to the class path");
    }
    System.getLogger(NativeLibrary.class.getName()).log(Level.INFO, library.toString());
    return library;
  }

  private static NativeLibrary initialized(String artifact, IntUnaryOperator initialize) {
    Isa best = Isa.ofCode(initialize.applyAsInt(0));
    if (best == null) {
      return unavailable(
          artifact, "this CPU lacks AVX2, FMA or F16C", "use a CPU with x86-64-v3 (2013 or later)");
    }
    Isa isa;
    try {
      isa = Isa.chosen(best);
    } catch (IllegalArgumentException e) {
      return new NativeLibrary(
          artifact, null, Availability.unavailable(e.getMessage(), "correct or remove it"), true);
    }
    initialize.applyAsInt(isa.code());
    return new NativeLibrary(
        artifact,
        isa,
        Availability.available("native kernels " + isa + " on " + platform()),
        false);
  }

  private static NativeLibrary unavailable(String artifact, String reason, String fix) {
    return new NativeLibrary(artifact, null, Availability.unavailable(reason, fix), false);
  }

  private static String platform() {
    return Loader.Detector.getPlatform();
  }

  /** Whether the kernels can be used, and if not, why. */
  public Availability availability() {
    return availability;
  }

  /** The instruction set in use, or null if the library is not available. */
  public @Nullable Isa isa() {
    return isa;
  }

  /**
   * The backend that operators of this module choose by themselves.
   *
   * @throws IllegalStateException if the property {@link Isa#PROPERTY} forces an instruction set
   *     that this CPU lacks or that does not exist
   */
  public Backend preferred() {
    if (misconfigured) {
      availability.ensure(artifact);
    }
    return availability.isAvailable() ? Backend.CPU : Backend.REFERENCE;
  }

  /**
   * Picks an implementation.
   *
   * @throws IllegalStateException if {@code backend} is {@code CPU} and the library is unavailable
   */
  public <K> K choose(Backend backend, K reference, K cpu) {
    if (backend == Backend.REFERENCE) {
      return reference;
    }
    availability.ensure(artifact + " on " + backend);
    return cpu;
  }

  @Override
  public String toString() {
    return availability.isAvailable()
        ? artifact + ": " + availability.reason()
        : artifact
            + ": reference implementations, because "
            + availability.reason()
            + "; "
            + availability.fix();
  }
}

package io.github.lightning4j.kvquant.calibration;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A calibration file cannot be used. */
public final class CalibrationException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** Why it cannot. */
  public enum Reason {
    /** It is missing, cut short or breaks a rule of its format: make it again. */
    BROKEN,
    /** It is of a version that this library does not read: make it again. */
    VERSION,
    /** It was made for other weights: calibrate this model. */
    OTHER_MODEL
  }

  private final transient Path file;
  private final Reason reason;

  CalibrationException(Path file, Reason reason, String message, @Nullable Throwable cause) {
    super(file + ": " + message, cause);
    this.file = file;
    this.reason = reason;
  }

  /** The file. */
  public Path file() {
    return file;
  }

  /** Why it cannot be used. */
  public Reason reason() {
    return reason;
  }
}

package io.github.lightning4j.core;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** A file of a checkpoint is missing, broken, or does not say what it should. */
public final class CheckpointException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final transient Path file;

  /**
   * A fault found in a file.
   *
   * @param file the file or folder at fault
   * @param message what was expected and what came
   */
  public CheckpointException(Path file, String message) {
    this(file, message, null);
  }

  /**
   * A fault with a cause.
   *
   * @param file the file or folder at fault
   * @param message what was expected and what came
   * @param cause what happened underneath, if anything did
   */
  public CheckpointException(Path file, String message, @Nullable Throwable cause) {
    super(file + ": " + message, cause);
    this.file = file;
  }

  /** The file or folder at fault. */
  public Path file() {
    return file;
  }
}

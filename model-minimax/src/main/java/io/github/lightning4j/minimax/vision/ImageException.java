package io.github.lightning4j.minimax.vision;

/** A picture that cannot be used: unreadable, damaged, too large, too thin. */
public final class ImageException extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  private final String source;

  /**
   * A fault of a picture.
   *
   * @param source its file, or what else it is known by
   * @param message what was expected and what came
   */
  public ImageException(String source, String message) {
    super(source + ": " + message);
    this.source = source;
  }

  /**
   * A fault with a cause.
   *
   * @param source its file, or what else it is known by
   * @param message what was expected and what came
   * @param cause what happened underneath
   */
  public ImageException(String source, String message, Throwable cause) {
    super(source + ": " + message, cause);
    this.source = source;
  }

  /** The file of the picture, or what else it is known by. */
  public String source() {
    return source;
  }
}

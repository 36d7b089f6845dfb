package io.github.lightning4j.minimax.vision;

import java.nio.file.Path;

/** Reads a picture in a JVM of its own, and tells how it was refused. */
final class PictureReader {
  private PictureReader() {}

  public static void main(String[] args) {
    try {
      RgbImage.read(Path.of(args[0]));
      System.out.println("read");
    } catch (ImageException e) {
      Throwable cause = e.getCause();
      System.out.println(
          "ImageException caused by "
              + (cause == null ? "nothing" : cause.getClass().getSimpleName()));
      System.out.println(e.getMessage());
    }
  }
}

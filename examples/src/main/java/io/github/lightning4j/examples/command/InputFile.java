package io.github.lightning4j.examples.command;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** A text file that an option names. */
final class InputFile {
  private InputFile() {}

  /**
   * Reads it.
   *
   * @param option the option, for the message
   * @throws IllegalArgumentException if it cannot be read as UTF-8
   */
  static String text(String option, Path file) {
    try {
      return Files.readString(file);
    } catch (NoSuchFileException e) {
      throw new IllegalArgumentException(option + ": no such file: " + file, e);
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(option + ": expected UTF-8 text in " + file, e);
    } catch (IOException e) {
      throw new IllegalArgumentException(option + ": " + file + " cannot be read (" + e + ")", e);
    }
  }
}

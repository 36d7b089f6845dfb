package io.github.lightning4j.examples.command;

import java.util.logging.Level;
import java.util.logging.Logger;

/** What the libraries log: warnings always, choices and reasons on request. */
final class LibraryLog {
  /** Kept, because the log manager holds loggers weakly. */
  private static final Logger ROOT = Logger.getLogger("");

  private LibraryLog() {}

  /** Shows warnings only, one line each. */
  static void quiet() {
    System.setProperty("java.util.logging.SimpleFormatter.format", "minimax: %5$s%6$s%n");
    ROOT.setLevel(Level.WARNING);
  }

  /** Shows what is chosen and why as well. */
  static void verbose() {
    ROOT.setLevel(Level.INFO);
  }
}

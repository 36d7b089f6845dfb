package io.github.lightning4j.minimax;

import java.nio.file.Path;

/** The embedded default model, where the repository keeps it. */
final class Nano {
  static final Path FOLDER =
      Path.of(System.getProperty("lightning4j.repository", ".."), "models", "minimax-nano");

  private Nano() {}

  static MiniMaxModel load() {
    return MiniMaxModel.load(FOLDER);
  }
}

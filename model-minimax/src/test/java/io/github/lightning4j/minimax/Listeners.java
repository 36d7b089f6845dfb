package io.github.lightning4j.minimax;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** Listeners that write down what they hear, or act on it. */
final class Listeners {
  private Listeners() {}

  /** Calls {@code action} when a certain token comes, counted from one. */
  static GenerationListener atToken(int number, Runnable action) {
    AtomicInteger tokens = new AtomicInteger();
    return new GenerationListener() {
      @Override
      public void onToken(int id) {
        if (tokens.incrementAndGet() == number) {
          action.run();
        }
      }
    };
  }

  /** Writes down which answer got a token. */
  static GenerationListener into(List<Integer> heard, int answer) {
    return new GenerationListener() {
      @Override
      public void onToken(int id) {
        heard.add(answer);
      }
    };
  }

  /**
   * Writes down how much of a prompt is read, and cancels when asked for the {@code questions}-th
   * time behind a number of tokens.
   */
  static GenerationListener cancellingWithin(List<Long> read, int tokens, int questions) {
    return new GenerationListener() {
      private int heard;
      private int asked;

      @Override
      public void onPrefill(long done, long total) {
        read.add(done);
      }

      @Override
      public void onToken(int id) {
        heard++;
      }

      @Override
      public boolean isCancelled() {
        return heard == tokens && ++asked >= questions;
      }
    };
  }

  /** Writes down how much of a prompt is read, and cancels after that many chunks. */
  static GenerationListener cancelling(List<Long> read, int chunks) {
    return new GenerationListener() {
      @Override
      public void onPrefill(long done, long total) {
        read.add(done);
      }

      @Override
      public boolean isCancelled() {
        return read.size() >= chunks;
      }
    };
  }
}

package io.github.lightning4j.minimax;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** An answer under way in a {@link GenerationQueue}. Thread-safe. */
public final class GenerationHandle {
  private final CompletableFuture<GenerationResult> outcome = new CompletableFuture<>();
  private volatile boolean cancelled;

  GenerationHandle() {}

  /**
   * Asks for the end: within the step under way where no other answer takes part in it, else after
   * it; or behind the token that is being told. The result then has what came before. Without
   * effect on what is done.
   */
  public void cancel() {
    cancelled = true;
  }

  /** Whether {@link #result} returns at once. */
  public boolean isDone() {
    return outcome.isDone();
  }

  /**
   * Waits for the end. Not to be called by a listener of the same queue, which would wait for
   * itself.
   *
   * @return the answer, or what there was of it when it was cancelled
   * @throws ExecutionException if it failed, or its listener did; the cause tells why
   * @throws InterruptedException if this thread is interrupted while it waits
   */
  public GenerationResult result() throws ExecutionException, InterruptedException {
    return outcome.get();
  }

  boolean isCancelled() {
    return cancelled;
  }

  CompletableFuture<GenerationResult> outcome() {
    return outcome;
  }

  /** What a listener hears, with this handle's say on when to end. */
  GenerationListener over(GenerationListener listener) {
    return new GenerationListener() {
      @Override
      public void onPrefill(long done, long total) {
        listener.onPrefill(done, total);
      }

      @Override
      public void onToken(int id) {
        listener.onToken(id);
      }

      @Override
      public void onText(String text) {
        listener.onText(text);
      }

      @Override
      public void onGuess(int guessed, int accepted) {
        listener.onGuess(guessed, accepted);
      }

      @Override
      public boolean isCancelled() {
        return cancelled || listener.isCancelled();
      }
    };
  }
}

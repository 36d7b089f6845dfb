package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.ProgressListener;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import org.jspecify.annotations.Nullable;

/** A bar on the terminal while something long goes on; it opens with the first news of it. */
final class ProgressLine implements ProgressListener, AutoCloseable {
  private static final int WIDTH = 80;

  private final String task;
  private final boolean shown;
  private @Nullable ProgressBar bar;

  /**
   * A bar that is not there yet.
   *
   * @param task what goes on
   * @param shown whether there will be one
   */
  ProgressLine(String task, boolean shown) {
    this.task = task;
    this.shown = shown;
  }

  @Override
  public void progress(long done, long total) {
    if (!shown) {
      return;
    }
    if (bar == null) {
      bar =
          new ProgressBarBuilder()
              .setTaskName(task)
              .setInitialMax(total)
              .setConsumer(new ConsoleProgressBarConsumer(System.err, WIDTH))
              .clearDisplayOnFinish()
              .build();
    }
    bar.stepTo(done);
    if (done >= total) {
      close();
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
      bar = null;
    }
  }
}

package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Threads.RangeTask;
import io.github.lightning4j.core.internal.RecordedStretch;
import io.github.lightning4j.core.internal.RecordedStretch.Part;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Operator calls that are checked once and run many times, over the same tensors and whatever these
 * hold by then: a decode step, for example.
 *
 * <pre>
 * Recording step = Recording.of(() -> {
 *   rows.rmsNorm(x, weight, eps, normed);
 *   gemm.multiply(normed, w, out);
 * });
 * step.run();      // as often as wanted
 * </pre>
 *
 * <p>While a recording is made, the calls check their arguments and compute nothing. A run goes
 * through them in their order and gives the same bits as the calls themselves; but the threads meet
 * once for all of them, not once for each, and pass from one call to the next without a word of
 * Java about shapes. Calls too small to be shared out that follow each other run as one.
 *
 * <p>Operators that can be recorded: those of {@link Gemm} and {@link
 * io.github.lightning4j.core.nn.RowOperators} (but {@code rope}, whose position is an argument),
 * and whichever other artifacts say so. The others refuse with {@link IllegalStateException}.
 *
 * <p>A recording holds on to its tensors but does not own them: a run over a closed one throws
 * {@link IllegalStateException}. One run at a time: not thread-safe. It holds no memory outside the
 * heap and need not be closed.
 */
public final class Recording {
  private static final ThreadLocal<@Nullable Recording> ACTIVE = new ThreadLocal<>();

  /** Stretches of parts, and what stands between them. */
  private final List<Runnable> steps = new ArrayList<>();

  private final List<Part> open = new ArrayList<>();

  private final List<Runnable> afterFailure = new ArrayList<>();

  private Recording() {}

  /**
   * Records the operator calls that {@code calls} makes on this thread.
   *
   * @throws IllegalStateException if a call cannot be recorded, or a recording is being made
   * @throws IllegalArgumentException what the calls refuse
   */
  public static Recording of(Runnable calls) {
    checkState(ACTIVE.get() == null, "a recording is being made on this thread already");
    Recording recording = new Recording();
    ACTIVE.set(recording);
    try {
      calls.run();
      recording.endStretch();
    } finally {
      ACTIVE.remove();
    }
    return recording;
  }

  /**
   * Runs the calls.
   *
   * @throws RuntimeException the first failure; what comes behind it has not run
   */
  public void run() {
    checkState(ACTIVE.get() == null, "a recording is being made on this thread; run it afterwards");
    try {
      steps.forEach(Runnable::run);
    } catch (RuntimeException | Error e) {
      afterFailure.forEach(Runnable::run);
      throw e;
    }
  }

  /** Whether this thread is making a recording. */
  public static boolean isActive() {
    return ACTIVE.get() != null;
  }

  /**
   * {@link Threads#forRanges}, now or in every run of the recording that is being made. For authors
   * of operators: the task reads what earlier calls wrote, so nothing of that may be looked at
   * outside of it.
   */
  public static void forRanges(long n, long grain, RangeTask task) {
    Recording recording = ACTIVE.get();
    if (recording == null) {
      Threads.forRanges(n, grain, task);
      return;
    }
    checkArgument(n >= 0 && grain >= 1, "expected n >= 0 and grain >= 1, got %s and %s", n, grain);
    if (n > 0) {
      recording.open.add(new Part(() -> n, grain, task, n <= grain));
    }
  }

  /** The same where what comes before decides how much work there is. */
  public static void forRanges(LongSupplier n, long grain, RangeTask task) {
    Recording recording = ACTIVE.get();
    if (recording == null) {
      Threads.forRanges(n.getAsLong(), grain, task);
    } else {
      checkArgument(grain >= 1, "grain: expected >= 1, got %s", grain);
      recording.open.add(new Part(n, grain, task, false));
    }
  }

  /** Work for one thread, now or in every run. */
  public static void once(Runnable work) {
    forRanges(1, 1, (from, to) -> work.run());
  }

  /**
   * What gives back the memory that a run of the recording being made holds from one part to
   * another, for runs that end in between. For authors of operators; does nothing where no
   * recording is being made.
   */
  public static void afterFailure(Runnable work) {
    Recording recording = ACTIVE.get();
    if (recording != null) {
      recording.afterFailure.add(work);
    }
  }

  /**
   * Gives back what earlier calls took: now, also where the work of this thread is cancelled (see
   * {@link Threads#cancellable}), or at this place of every run of the recording that is being
   * made.
   */
  public static void release(Runnable work) {
    if (isActive()) {
      once(work);
    } else {
      work.run();
    }
  }

  /** Calls that cannot be recorded: made now, or by the thread that runs the recording. */
  public static void between(Runnable calls) {
    Recording recording = ACTIVE.get();
    if (recording == null) {
      calls.run();
    } else {
      recording.endStretch();
      recording.steps.add(calls);
    }
  }

  static void refuse() {
    checkState(
        ACTIVE.get() == null,
        "this operator cannot be recorded: it looks at results between its parts; call it in"
            + " Recording.between");
  }

  private void endStretch() {
    if (!open.isEmpty()) {
      steps.add(new RecordedStretch(open));
      open.clear();
    }
  }
}

package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.Threads.RangeTask;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Parts that the threads of the pool go through together: they take ranges of the current part
 * until none is left, and whoever ends the last range opens the next part. Whoever comes late joins
 * where the others are; one thread alone gets through too.
 */
public final class RecordedStretch implements Runnable {
  /**
   * Ranges a thread takes of a part, about: few calls, and a slow one does not hold up the rest.
   */
  private static final int RANGES = 4;

  /** Longs between counters that different threads write. */
  private static final int APART = 16;

  /**
   * One operator call.
   *
   * @param n the size of its work, asked when all before it is done
   * @param grain as in {@link Threads#forRanges}
   * @param task the work
   * @param serial whether it is too small to be shared out
   */
  public record Part(LongSupplier n, long grain, RangeTask task, boolean serial) {}

  private final Part[] parts;
  private final long[] sizes;
  private final long[] steps;

  /** For each part how far ranges are taken, and how much is done. */
  private final AtomicLongArray counters;

  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private volatile int current;
  private @Nullable Cancellation cancellation;
  private @Nullable Thread caller;
  private int spins;

  /** The parts, in their order. */
  public RecordedStretch(List<Part> parts) {
    this.parts = merged(parts).toArray(Part[]::new);
    this.sizes = new long[this.parts.length];
    this.steps = new long[this.parts.length];
    this.counters = new AtomicLongArray(2 * APART * (this.parts.length + 1));
  }

  /** Serial parts that follow each other as one. */
  private static List<Part> merged(List<Part> parts) {
    List<Part> merged = new ArrayList<>();
    List<Part> serial = new ArrayList<>();
    for (Part part : parts) {
      if (part.serial()) {
        serial.add(part);
      } else {
        flush(serial, merged);
        merged.add(part);
      }
    }
    flush(serial, merged);
    return merged;
  }

  private static void flush(List<Part> serial, List<Part> to) {
    if (!serial.isEmpty()) {
      Part[] all = serial.toArray(Part[]::new);
      RangeTask inTurn =
          (from, end) -> {
            for (Part part : all) {
              part.task().run(0, part.n().getAsLong());
            }
          };
      to.add(new Part(() -> 1, 1, inTurn, true));
      serial.clear();
    }
  }

  @Override
  public void run() {
    for (int i = 0; i <= parts.length; i++) {
      counters.setPlain(taken(i), 0);
      counters.setPlain(done(i), 0);
    }
    failure.setPlain(null);
    cancellation = Cancellation.current();
    if (cancellation != null) {
      cancellation.check();
    }
    caller = Thread.currentThread();
    spins = WorkerPool.spins(Threads.count());
    open(0);
    Cancellation.masked(() -> Threads.forRanges(Threads.count(), 1, (from, to) -> takePart()));
    Throwable thrown = failure.get();
    if (thrown instanceof RuntimeException e) {
      throw e;
    }
    if (thrown instanceof Error e) {
      throw e;
    }
  }

  private static int taken(int part) {
    return 2 * APART * part;
  }

  private static int done(int part) {
    return 2 * APART * part + APART;
  }

  /** Makes the first part with work, from this one on, the current one. */
  private void open(int from) {
    int part = from;
    while (part < parts.length) {
      long n = parts[part].n().getAsLong();
      if (n > 0) {
        long grain = parts[part].grain();
        long wanted = Math.max(1, n / ((long) Threads.count() * RANGES));
        sizes[part] = n;
        steps[part] = (wanted + grain - 1) / grain * grain;
        break;
      }
      part++;
    }
    current = part;
  }

  private void takePart() {
    int part = current;
    while (part < parts.length) {
      takeRanges(part);
      part = await(part);
    }
  }

  private void takeRanges(int part) {
    long n = sizes[part];
    long step = steps[part];
    RangeTask task = parts[part].task();
    for (long from = counters.getAndAdd(taken(part), step);
        from < n && current == part;
        from = counters.getAndAdd(taken(part), step)) {
      long to = Math.min(n, from + step);
      try {
        if (cancellation != null && Thread.currentThread() == caller) {
          cancellation.check();
        }
        task.run(from, to);
        if (counters.addAndGet(done(part), to - from) == n) {
          open(part + 1);
        }
      } catch (Throwable e) {
        failure.compareAndSet(null, e);
        current = parts.length;
        return;
      }
    }
  }

  /** Waits until the part is not the current one, and returns the one that is. */
  private int await(int part) {
    for (int looks = 0; current == part; looks++) {
      WorkerPool.pause(looks, spins);
    }
    return current;
  }
}

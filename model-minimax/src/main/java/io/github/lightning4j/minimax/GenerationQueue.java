package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkState;

import com.google.common.util.concurrent.Uninterruptibles;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.function.Predicate;

/**
 * Generates many answers at once (continuous batching): every step reads the weights once, for a
 * token of each answer under way and for chunks of new prompts, which join between steps without
 * waiting for the others to end.
 *
 * <pre>{@code
 * try (GenerationQueue queue = new Generator(model, tokenizer).queue(BatchLimits.DEFAULT)) {
 *   GenerationHandle first = queue.submit("It is a truth", options, GenerationListener.NONE);
 *   GenerationHandle second = queue.submit("Mr. Darcy", options, GenerationListener.NONE);
 *   System.out.println(first.result().text() + second.result().text());
 * }
 * }</pre>
 *
 * <p>Each result equals that of the prompt alone, up to rounding; while no prompt is being read and
 * at most 16 answers run, a step gives each the same bits as alone. A prompt that fails, or whose
 * listener throws, ends alone. First come, first served, for a place; all that have one move on
 * with every step, prompts in even shares of what answers leave of it.
 *
 * <p>A step is given up within its operators once all answers in it are cancelled, or the queue is
 * closed. Of several the cancelled one ends after the step, which the others need whole: the fewer
 * {@linkplain BatchLimits#tokensPerStep tokens a step}, the sooner.
 *
 * <p>Caches by class of tokens ({@link KvCacheFormat#classes}) hold a prompt in 16 bits until it
 * has been read. There prompts are read one after another, first come, first served: a long one
 * holds up those behind it, not the answers under way, and only one at a time lies in 16 bits.
 *
 * <p>Thread-safe. A thread of the queue's own does the work and calls the listeners, which hold up
 * all answers while they run.
 */
public final class GenerationQueue implements AutoCloseable {
  private record Waiting(Batch.Member member, GenerationHandle handle) {}

  private final Generator generator;
  private final Batch batch;
  private final Object lock = new Object();
  private final Deque<Waiting> waiting = new ArrayDeque<>();
  private final Thread thread = new Thread(this::work, "lightning4j-generation");
  private volatile boolean closed;

  GenerationQueue(Generator generator, BatchLimits limits) {
    this.generator = generator;
    this.batch = generator.batch(limits);
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * Continues a text.
   *
   * @throws IllegalArgumentException as {@link Generator#generate(String, GenerationOptions)}
   * @throws IllegalStateException without a tokenizer, or if the queue is closed
   */
  public GenerationHandle submit(
      String prompt, GenerationOptions options, GenerationListener listener) {
    return submit(generator.encodeText(prompt), options, listener);
  }

  /**
   * Continues tokens.
   *
   * @param listener called on the thread of the queue
   * @throws IllegalArgumentException as {@link Generator#generate(int[], GenerationOptions,
   *     GenerationListener)}
   * @throws IllegalStateException if the queue is closed
   */
  public GenerationHandle submit(
      int[] prompt, GenerationOptions options, GenerationListener listener) {
    GenerationHandle handle = new GenerationHandle();
    return submit(generator.sequence(prompt, options, handle.over(listener)), handle);
  }

  /**
   * Continues a prompt with pictures.
   *
   * @param prompt stays the caller's, and must be open until the answer is there
   * @param listener called on the thread of the queue
   * @throws IllegalArgumentException as {@link Generator#generate(ImagePrompt, GenerationOptions,
   *     GenerationListener)}
   * @throws IllegalStateException if the prompt or the queue is closed
   */
  public GenerationHandle submit(
      ImagePrompt prompt, GenerationOptions options, GenerationListener listener) {
    GenerationHandle handle = new GenerationHandle();
    return submit(generator.sequence(prompt, options, handle.over(listener)), handle);
  }

  private GenerationHandle submit(Sequence sequence, GenerationHandle handle) {
    synchronized (lock) {
      checkState(!closed, "generation queue is closed");
      waiting.add(new Waiting(new Batch.Member(sequence, handle.outcome()), handle));
      lock.notifyAll();
    }
    return handle;
  }

  private void work() {
    try {
      while (admit()) {
        take(GenerationHandle::isCancelled, Integer.MAX_VALUE).forEach(batch::cancel);
        take(handle -> true, batch.room()).forEach(batch::add);
        batch.step(() -> closed);
      }
    } finally {
      // However it ends, nobody is left waiting.
      synchronized (lock) {
        closed = true;
      }
      batch.close();
      take(handle -> true, Integer.MAX_VALUE).forEach(batch::cancel);
    }
  }

  /** Waits for something to do; whether there will be more. */
  private boolean admit() {
    synchronized (lock) {
      while (!closed && waiting.isEmpty() && batch.isEmpty()) {
        try {
          lock.wait();
        } catch (InterruptedException e) {
          closed = true;
        }
      }
      return !closed;
    }
  }

  /** Takes some of those that wait, first come, first served. */
  private List<Batch.Member> take(Predicate<GenerationHandle> which, int most) {
    List<Batch.Member> taken = new ArrayList<>();
    synchronized (lock) {
      for (Iterator<Waiting> all = waiting.iterator(); all.hasNext() && taken.size() < most; ) {
        Waiting next = all.next();
        if (which.test(next.handle())) {
          all.remove();
          taken.add(next.member());
        }
      }
    }
    return taken;
  }

  /**
   * Ends all answers as if they were cancelled, within the step under way, and takes no more.
   *
   * @throws IllegalStateException if closed already, or called by a listener
   */
  @Override
  public void close() {
    checkState(Thread.currentThread() != thread, "a listener cannot close its generation queue");
    synchronized (lock) {
      checkState(!closed, "generation queue is closed already");
      closed = true;
      lock.notifyAll();
    }
    Uninterruptibles.joinUninterruptibly(thread);
  }
}

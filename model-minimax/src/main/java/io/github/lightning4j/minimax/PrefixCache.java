package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import com.google.common.primitives.ImmutableIntArray;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TooManySequencesException;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What has been read before need not be read again: states of sequences after every so many tokens,
 * by these tokens. A sequence that begins like an earlier one goes on from a fork of the longest
 * checkpoint that is a part of it, and leaves checkpoints of its own.
 *
 * <pre>{@code
 * try (MiniMaxModel model = MiniMaxModel.load(folder);
 *     PrefixCache prefixes = new PrefixCache(model, 1L << 30, 512)) {
 *   Generator generator = new Generator(model).withPrefixCache(prefixes);
 * }
 * }</pre>
 *
 * <p>Checkpoints form a tree and share their key-value pages; each has lightning states of its own,
 * so the distance between them is what memory and repeated reading are weighed with. Over its limit
 * the cache drops those that no sequence has used for longest, the last of a line first; never for
 * one that would not fit beside those before it. At least one token is always read. Prompts are
 * read in chunks that end at the checkpoints; so where a {@link Generator} reads one prompt at a
 * time, with reuse and without the same chunks follow, and logits are the same bits. In a {@link
 * GenerationQueue} a chunk is what a step has left for its prompt: there they are the same up to
 * rounding. Quantized caches take each checkpoint for the end of a prompt: what follows reads what
 * is before it as quantized.
 *
 * <p>On a GPU, which has 256 places for sequences, checkpoints take at most half of them, and their
 * states and pages are memory of the GPU. Where sessions have taken all places no checkpoints are
 * left, and a sequence that begins here takes the place of the oldest one; {@link
 * MiniMaxModel#newSession} and {@link Session#fork} do not.
 *
 * <p>Thread-safe. Sequences that have begun do not mind if the cache is closed. Close it before the
 * model.
 */
public final class PrefixCache implements AutoCloseable {
  /** Tokens of a key-value page: checkpoints at multiples of it share whole ones. */
  private static final int PAGE = 64;

  private final MiniMaxModel model;
  private final int mostCheckpoints;
  private final long maxBytes;
  private final int every;
  private final PrefixNode start = PrefixNode.start();

  /**
   * Checkpoints in the order of their last use. One is always older than that before it in its
   * line, so the oldest has none behind it.
   */
  private final Set<PrefixNode> byUse = new LinkedHashSet<>();

  private long bytes;
  private boolean closed;

  /**
   * An empty cache.
   *
   * @param model whose states it keeps
   * @param maxBytes the most bytes outside the heap, keys included; a checkpoint that does not fit
   *     is not kept
   * @param every tokens from one checkpoint to the next, a multiple of 64
   * @throws IllegalArgumentException if a number is something else
   * @throws IllegalStateException if ranks share the model out, as what is kept depends on the
   *     memory of each
   */
  public PrefixCache(MiniMaxModel model, long maxBytes, int every) {
    checkArgument(maxBytes >= 0, "maxBytes: expected >= 0, got %s", maxBytes);
    checkArgument(
        every >= PAGE && every % PAGE == 0,
        "every: expected a multiple of %s, got %s",
        PAGE,
        every);
    checkState(
        model.options().ranks().isEmpty(),
        "a checkpoint that does not fit the memory of one rank is not kept there, and ranks would not"
            + " agree on what is read: fork sessions that have read what prompts have in common");
    this.model = model;
    this.mostCheckpoints = model.mostSessions() / 2;
    this.maxBytes = maxBytes;
    this.every = every;
  }

  /** The model it belongs to. */
  public MiniMaxModel model() {
    return model;
  }

  /** Tokens from one checkpoint to the next. */
  public int every() {
    return every;
  }

  /** Bytes held, pages that checkpoints share counted once. */
  public synchronized long bytes() {
    return bytes;
  }

  /** Checkpoints held. */
  public synchronized int checkpoints() {
    return byUse.size();
  }

  /**
   * A session that has read as much of the tokens as there is a checkpoint for, but for the last.
   *
   * @throws IllegalStateException if the cache is closed
   */
  synchronized SequenceStart begin(int[] ids) {
    checkState(!closed, "prefix cache is closed");
    return beginAgain(ids);
  }

  /** As {@link #begin} for a sequence that has begun before: with nothing read if it is closed. */
  synchronized SequenceStart beginAgain(int[] ids) {
    PrefixNode node = start;
    while (node.length() + every < ids.length) {
      PrefixNode next = node.children().get(block(ids, node.length()));
      if (next == null) {
        break;
      }
      node = next;
    }
    use(node);
    Session session = new Session(model, stateAfter(node));
    return new SequenceStart(session, node.length(), new PrefixPath(this, node));
  }

  /** Where there is no place for one more, that of the oldest checkpoint. */
  private SequenceState stateAfter(PrefixNode node) {
    while (true) {
      try {
        return node.state() == null
            ? model.emptyState(model.options().cacheFormat())
            : node.state().fork();
      } catch (TooManySequencesException e) {
        if (byUse.isEmpty()) {
          throw e;
        }
        PrefixNode oldest = byUse.iterator().next();
        byUse.remove(oldest);
        forget(oldest);
        if (oldest == node) {
          return node.state();
        }
        oldest.state().close();
      }
    }
  }

  /**
   * Keeps the state of a session behind a checkpoint, if it fits with those before it; others go
   * first to make room.
   *
   * @return the new checkpoint; null if there is none
   */
  synchronized @Nullable PrefixNode add(PrefixNode parent, Session session, int[] ids, int read) {
    ImmutableIntArray block = block(ids, read - every);
    boolean known = parent == start || byUse.contains(parent);
    if (closed || !known || parent.children().containsKey(block)) {
      return null;
    }
    long room = maxBytes - parent.bytesOf(block, session.state());
    if (parent.bytesOfLine() > room || parent.length() / every >= mostCheckpoints) {
      return null;
    }
    use(parent);
    Iterator<PrefixNode> oldest = byUse.iterator();
    while (bytes > room || byUse.size() >= mostCheckpoints) {
      PrefixNode last = oldest.next();
      oldest.remove();
      drop(last);
    }
    SequenceState copy;
    try {
      copy = session.state().fork();
    } catch (OutOfNativeMemoryException
        | PageBudgetException
        | CudaOutOfMemoryException
        | TooManySequencesException e) {
      return null;
    }
    PrefixNode node = parent.next(block, copy);
    parent.children().put(block, node);
    bytes += node.bytes();
    use(node);
    return node;
  }

  private ImmutableIntArray block(int[] ids, int from) {
    return ImmutableIntArray.copyOf(Arrays.copyOfRange(ids, from, from + every));
  }

  /** Makes a checkpoint and all before it the latest used, the first of them last. */
  private void use(PrefixNode latest) {
    for (PrefixNode node = latest; node.parent() != null; node = node.parent()) {
      byUse.remove(node);
      byUse.add(node);
    }
  }

  private void drop(PrefixNode last) {
    forget(last);
    last.state().close();
  }

  private void forget(PrefixNode last) {
    last.parent().children().remove(last.block());
    bytes -= last.bytes();
  }

  /**
   * Drops all checkpoints.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public synchronized void close() {
    checkState(!closed, "prefix cache is closed already");
    closed = true;
    byUse.forEach(this::drop);
    byUse.clear();
  }
}

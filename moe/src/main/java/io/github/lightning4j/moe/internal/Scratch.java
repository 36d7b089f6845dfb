package io.github.lightning4j.moe.internal;

import static com.google.common.base.Preconditions.checkState;

import java.util.List;

/** The buffers of one call of the experts, kept for the next. */
public final class Scratch implements AutoCloseable {
  /** The pairs kept in order of position, I32 {@code [T k]} or fewer. */
  final GrowingBuffer pairs = new GrowingBuffer();

  /** The positions in order of pair, I32 {@code [T k]}; -1 where dropped. */
  final GrowingBuffer positions = new GrowingBuffer();

  /** The experts of a kernel call; see {@link ExpertTable}. */
  final GrowingBuffer table = new GrowingBuffer();

  /** What lies between the two layers of such experts, {@code [T k, I]}. */
  final GrowingBuffer hidden = new GrowingBuffer();

  /** What the experts answer, {@code [T k, H]}, in order of position. */
  final GrowingBuffer answers = new GrowingBuffer();

  /** The tokens of the experts with many, packed; see {@link GroupedPrefill}. */
  final GrowingBuffer panels = new GrowingBuffer();

  /** What lies between the two layers of such experts, likewise. */
  final GrowingBuffer hiddenPanels = new GrowingBuffer();

  /** Tokens as integers, where weights are quantized. */
  final GrowingBuffer codedRows = new GrowingBuffer();

  /** Rows of {@link #hidden} likewise. */
  final GrowingBuffer codedHidden = new GrowingBuffer();

  private final List<GrowingBuffer> all =
      List.of(
          pairs, positions, table, hidden, answers, panels, hiddenPanels, codedRows, codedHidden);
  private boolean closed;

  /** Nothing yet. */
  public Scratch() {}

  /**
   * Refuses further use after {@link #close}.
   *
   * @throws IllegalStateException if closed
   */
  public void ensureOpen() {
    checkState(!closed, "workspace is closed");
  }

  /** The bytes held outside the heap. */
  public long bytes() {
    return all.stream().mapToLong(GrowingBuffer::bytes).sum();
  }

  @Override
  public void close() {
    checkState(!closed, "workspace is closed already");
    closed = true;
    all.forEach(GrowingBuffer::close);
  }
}

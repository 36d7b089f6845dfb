package io.github.lightning4j.minimax.internal.device;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.InsertedRows;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.TokenBatch;
import io.github.lightning4j.minimax.internal.device.Piece.Kind;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Where the sequences of a batch stand in a pass: those with one token first, then by {@link Kind}.
 */
final class BatchLayout {
  private final TokenBatch batch;
  private final List<Integer> order;
  private final List<Piece> pieces = new ArrayList<>();
  private final StepShape shape;

  BatchLayout(TokenBatch batch) {
    this.batch = batch;
    this.order = new ArrayList<>(IntStream.range(0, batch.segments().size()).boxed().toList());
    order.sort(Comparator.comparing(i -> kind(segment(i))));
    int rows = 0;
    int promptRows = 0;
    for (int asked : order) {
      TokenBatch.Segment segment = segment(asked);
      int count = Math.toIntExact(segment.rows());
      pieces.add(
          new Piece(DeviceMemory.of(segment.state()), segment.state().position(), rows, count));
      rows += count;
      promptRows += kind(segment) == Kind.PROMPT ? count : 0;
    }
    this.shape =
        new StepShape(count(Kind.SINGLE), count(Kind.PROMPT), promptRows, order.size(), rows);
  }

  private TokenBatch.Segment segment(int asked) {
    return batch.segments().get(asked);
  }

  private static Kind kind(TokenBatch.Segment segment) {
    return DeviceMemory.of(segment.state()).kind(segment.rows());
  }

  private int count(Kind kind) {
    return (int) pieces.stream().filter(piece -> piece.kind() == kind).count();
  }

  StepShape shape() {
    return shape;
  }

  /** The sequences in the order of the pass, as places in the batch. */
  List<Integer> order() {
    return order;
  }

  /** Their rows, in the same order. */
  List<Piece> pieces() {
    return pieces;
  }

  /** Writes what the pass reads. */
  void fill(StepInputs inputs) {
    for (int i = 0; i < order.size(); i++) {
      Piece piece = pieces.get(i);
      int slot = piece.memory().slot();
      int[] ids = batch.ids().get(order.get(i));
      for (int t = 0; t < ids.length; t++) {
        inputs.row(piece.firstRow() + t, ids[t], slot, piece.position() + t, piece.agedLength(t));
      }
      int last = piece.firstRow() + ids.length - 1;
      inputs.sequence(i, slot, piece.agesFirst(), piece.position(), last);
      if (i >= shape.singles()) {
        inputs.stretch(i - shape.singles(), piece.firstRow() - shape.singles(), ids.length);
      }
    }
  }

  /** Tells the numbers that a pass reads from others, in short. */
  String digest() {
    Hasher hasher = Hashing.murmur3_128().newHasher();
    for (int i = 0; i < order.size(); i++) {
      Piece piece = pieces.get(i);
      int[] ids = batch.ids().get(order.get(i));
      hasher.putInt(order.get(i)).putInt(piece.memory().slot()).putLong(piece.position());
      hasher.putInt(piece.kind().ordinal()).putInt(ids.length);
      Arrays.stream(ids).forEach(hasher::putInt);
    }
    return "%d tokens of %d sequences, %s"
        .formatted(shape.rows(), shape.sequences(), hasher.hash().toString().substring(0, 16));
  }

  /** Whether rows stand in the place of tokens somewhere. */
  boolean hasPictures() {
    return batch.segments().stream().anyMatch(segment -> segment.state().inserted() != null);
  }

  /**
   * Writes the rows of pictures where their placeholders stand.
   *
   * @param upload copies rows to the GPU
   * @param hidden of the pass, {@code [R, H]}
   */
  void insert(RowUpload upload, Tensor hidden) {
    long row = 0;
    for (int asked : order) {
      TokenBatch.Segment segment = segment(asked);
      InsertedRows inserted = segment.state().inserted();
      if (inserted != null) {
        Tensor rows = hidden.narrow(0, row, segment.rows());
        inserted.forEachRun(
            segment.state().position(),
            segment.rows(),
            (at, from) -> upload.copy(from, rows.narrow(0, at, from.size(0))));
      }
      row += segment.rows();
    }
  }

  /** Counts the tokens, which all layers have seen. */
  void advance() {
    for (TokenBatch.Segment segment : batch.segments()) {
      advance(segment.state(), segment.rows());
    }
  }

  /** Counts tokens of a sequence. */
  static void advance(SequenceState state, long tokens) {
    state.advance(tokens);
    DeviceMemory.of(state).reached(state.position());
  }

  /** Copies rows of F32 on the host to BF16 on the GPU. */
  interface RowUpload {
    /** All rows of {@code from}. */
    void copy(Tensor from, Tensor to);
  }
}

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
    order.sort(
        Comparator.<Integer, Kind>comparing(i -> kind(segment(i)))
            .thenComparing(i -> segment(i).drafts() != null));
    int rows = 0;
    int promptRows = 0;
    int drafted = 0;
    int draftedRows = 0;
    int logitRows = 0;
    for (int asked : order) {
      TokenBatch.Segment segment = segment(asked);
      int count = Math.toIntExact(segment.rows());
      DeviceDrafts drafts = (DeviceDrafts) segment.drafts();
      pieces.add(
          new Piece(
              DeviceMemory.of(segment.state()), segment.state().position(), rows, count, drafts));
      rows += count;
      drafted += drafts == null ? 0 : 1;
      draftedRows += drafts == null ? 0 : count;
      logitRows += (int) segment.logitRows();
      promptRows += kind(segment) == Kind.PROMPT ? count : 0;
    }
    this.shape =
        new StepShape(
            count(Kind.SINGLE),
            count(Kind.PROMPT),
            promptRows,
            drafted,
            draftedRows,
            order.size(),
            rows,
            logitRows);
  }

  private TokenBatch.Segment segment(int asked) {
    return batch.segments().get(asked);
  }

  private static Kind kind(TokenBatch.Segment segment) {
    boolean drafted = segment.drafts() != null;
    return Piece.kind(DeviceMemory.of(segment.state()), segment.rows(), drafted);
  }

  private int count(Kind kind) {
    return (int) pieces.stream().filter(piece -> piece.kind() == kind).count();
  }

  StepShape shape() {
    return shape;
  }

  /** Their rows, in the same order. */
  List<Piece> pieces() {
    return pieces;
  }

  /** Writes what the pass reads. */
  void fill(StepInputs inputs) {
    int logitRow = 0;
    for (int i = 0; i < order.size(); i++) {
      Piece piece = pieces.get(i);
      int slot = piece.memory().slot();
      int[] ids = batch.ids().get(order.get(i));
      for (int t = 0; t < ids.length; t++) {
        inputs.row(piece.firstRow() + t, ids[t], piece.position() + t);
      }
      inputs.sequence(i, slot, piece.position());
      inputs.aging(i, piece.agesFirst() ? slot : -1, piece.agedLength());
      int wanted = Math.toIntExact(segment(order.get(i)).logitRows());
      for (int row = ids.length - wanted; row < ids.length; row++) {
        inputs.logitRow(logitRow++, piece.firstRow() + row);
      }
      if (i >= shape.singles()) {
        inputs.stretch(i - shape.singles(), piece.firstRow() - shape.singles(), ids.length);
      }
    }
  }

  /** Gives logits {@code [S, V]} of the pass, on the host, to who asked for them. */
  void give(Tensor logits, List<float[]> outLogits) {
    int[] first = new int[order.size()];
    for (int i = 1; i < first.length; i++) {
      first[i] = first[i - 1] + (int) segment(i - 1).logitRows();
    }
    int row = 0;
    for (int asked : order) {
      for (int i = 0; i < segment(asked).logitRows(); i++) {
        float[] to = outLogits.get(first[asked] + i);
        logits.select(0, row++).pointer().asByteBuffer().asFloatBuffer().get(to);
      }
    }
  }

  /**
   * Tells the numbers that a pass reads, and what it gives, from others, in short.
   *
   * @param all whether all rows have logits
   */
  String digest(boolean all) {
    Hasher hasher = Hashing.murmur3_128().newHasher().putBoolean(all);
    for (int i = 0; i < order.size(); i++) {
      Piece piece = pieces.get(i);
      int[] ids = batch.ids().get(order.get(i));
      hasher.putInt(order.get(i)).putInt(piece.memory().slot()).putLong(piece.position());
      hasher.putInt(piece.kind().ordinal()).putBoolean(piece.drafts() != null);
      hasher.putLong(segment(order.get(i)).logitRows()).putInt(ids.length);
      Arrays.stream(ids).forEach(hasher::putInt);
    }
    return "%d tokens of %d sequences, logits of %d, %s"
        .formatted(
            shape.rows(),
            shape.sequences(),
            all ? shape.rows() : shape.logitRows(),
            hasher.hash().toString().substring(0, 16));
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

  /** Counts the tokens that are certain, which all layers have seen. */
  void advance() {
    for (TokenBatch.Segment segment : batch.segments()) {
      if (segment.drafts() == null) {
        advance(segment.state(), segment.rows());
      }
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

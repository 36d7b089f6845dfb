package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.InsertedRows;
import io.github.lightning4j.minimax.internal.TokenBatch;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Where the sequences of a batch stand in a pass: those with one token first. */
final class BatchLayout {
  private final TokenBatch batch;
  private final List<Integer> order;
  private final StepShape shape;

  BatchLayout(TokenBatch batch) {
    this.batch = batch;
    this.order = new ArrayList<>(IntStream.range(0, batch.segments().size()).boxed().toList());
    order.sort(Comparator.comparing(i -> segment(i).rows() > 1));
    int singles = (int) batch.segments().stream().filter(one -> one.rows() == 1).count();
    this.shape = new StepShape(singles, order.size(), Math.toIntExact(batch.rows()));
  }

  private TokenBatch.Segment segment(int asked) {
    return batch.segments().get(asked);
  }

  StepShape shape() {
    return shape;
  }

  /** The sequences in the order of the pass, as places in the batch. */
  List<Integer> order() {
    return order;
  }

  /** Writes what the pass reads. */
  void fill(StepInputs inputs) {
    int row = 0;
    int stretchRows = 0;
    for (int i = 0; i < order.size(); i++) {
      TokenBatch.Segment segment = segment(order.get(i));
      int[] ids = batch.ids().get(order.get(i));
      long position = segment.state().position();
      for (int t = 0; t < ids.length; t++) {
        inputs.row(row + t, ids[t], position + t);
      }
      row += ids.length;
      inputs.sequence(i, DeviceMemory.of(segment.state()).slot(), position, row - 1);
      if (i >= shape.singles()) {
        inputs.stretch(i - shape.singles(), stretchRows, ids.length);
        stretchRows += ids.length;
      }
    }
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
    batch.segments().forEach(segment -> segment.state().advance(segment.rows()));
  }

  /** Copies rows of F32 on the host to BF16 on the GPU. */
  interface RowUpload {
    /** All rows of {@code from}. */
    void copy(Tensor from, Tensor to);
  }
}

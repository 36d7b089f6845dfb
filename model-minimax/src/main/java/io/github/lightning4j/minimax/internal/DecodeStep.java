package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.Workspace.Slot;
import java.nio.IntBuffer;
import java.util.List;

/**
 * One token for each of certain sequences, recorded: what a step of decoding repeats is checked
 * once, and only attention over the growing caches goes through Java again. Same bits as without.
 */
final class DecodeStep implements AutoCloseable {
  /** Beyond this many rows some experts may go through grouped products, which are not recorded. */
  private static final int MOST_ROWS = 16;

  private final TokenBatch batch;
  private final Workspace workspace;
  private final IntBuffer ids;
  private final Tensor logits;
  private final Recording recording;

  private DecodeStep(ForwardPass pass, TokenBatch batch, Workspace workspace) {
    this.batch = batch;
    this.workspace = workspace;
    long rows = batch.rows();
    Tensor tokens = workspace.get(Slot.IDS, DType.I32, rows);
    this.ids = tokens.pointer().asByteBuffer().asIntBuffer();
    this.logits = workspace.floats(Slot.LAST_LOGITS, rows, pass.config().vocabSize());
    // The first time scratch memory still grows, which ends what was handed out before.
    Recording.of(() -> pass.step(batch, tokens, workspace, logits));
    this.recording = Recording.of(() -> pass.step(batch, tokens, workspace, logits));
  }

  /** Records the step of these sequences. */
  static DecodeStep record(ForwardPass pass, TokenBatch batch) {
    Workspace workspace = new Workspace();
    try {
      return new DecodeStep(pass, batch, workspace);
    } catch (RuntimeException | Error e) {
      workspace.close();
      throw e;
    }
  }

  /** Whether a batch is of the kind that is recorded: single tokens behind prompts, no guesses. */
  static boolean canRecord(TokenBatch batch) {
    return batch.rows() <= MOST_ROWS && batch.segments().stream().allMatch(DecodeStep::isSingle);
  }

  private static boolean isSingle(TokenBatch.Segment segment) {
    SequenceState state = segment.state();
    return segment.rows() == 1
        && segment.drafts() == null
        && state.inserted() == null
        && !state.inPrompt();
  }

  /** Whether two batches have the same sequences in the same order. */
  static boolean sameSequences(TokenBatch a, TokenBatch b) {
    List<TokenBatch.Segment> left = a.segments();
    List<TokenBatch.Segment> right = b.segments();
    if (left.size() != right.size()) {
      return false;
    }
    for (int i = 0; i < left.size(); i++) {
      if (left.get(i).state() != right.get(i).state()) {
        return false;
      }
    }
    return true;
  }

  /** Whether this is the step of a batch. */
  boolean serves(TokenBatch other) {
    return sameSequences(batch, other) && canRecord(other);
  }

  /** Runs the step over the tokens of such a batch; logits {@code [R, V]}, until the next run. */
  Tensor run(TokenBatch next) {
    for (int i = 0; i < next.ids().size(); i++) {
      ids.put(i, next.ids().get(i)[0]);
    }
    recording.run();
    next.segments().forEach(segment -> segment.state().advance(1));
    return logits;
  }

  @Override
  public void close() {
    workspace.close();
  }
}

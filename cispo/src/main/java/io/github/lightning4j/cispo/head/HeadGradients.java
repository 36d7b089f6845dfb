package io.github.lightning4j.cispo.head;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * What goes into and comes out of the backward pass. Either output may be left out, which saves its
 * product.
 *
 * @param dLogProb {@code [T]}, F32, contiguous: the gradient of the loss, such as that of a {@link
 *     io.github.lightning4j.cispo.LossResult}; 0 for tokens that do not count, whose hidden states
 *     may then be anything, NaN too
 * @param dEntropy {@code [T]}, F32, contiguous: for losses that depend on the entropy; null for 0
 * @param outDHidden {@code [T, H]}, F32: gets the gradient of the hidden states; null if not wanted
 * @param outDHead {@code [V, H]}, F32: gets the gradient of the head; null if not wanted
 * @param addToDHead whether {@code outDHead} keeps what it holds and the gradient is added, as
 *     micro-batches want
 */
public record HeadGradients(
    Tensor dLogProb,
    @Nullable Tensor dEntropy,
    @Nullable Tensor outDHidden,
    @Nullable Tensor outDHead,
    boolean addToDHead) {

  /** Of a loss over log-probabilities alone; nothing is written yet. */
  public static HeadGradients of(Tensor dLogProb) {
    return new HeadGradients(dLogProb, null, null, null, false);
  }

  /** The same with the gradient of the entropies. */
  public HeadGradients withDEntropy(Tensor gradient) {
    return new HeadGradients(dLogProb, gradient, outDHidden, outDHead, addToDHead);
  }

  /** The same, writing the gradient of the hidden states. */
  public HeadGradients toDHidden(Tensor out) {
    return new HeadGradients(dLogProb, dEntropy, out, outDHead, addToDHead);
  }

  /** The same, writing the gradient of the head. */
  public HeadGradients toDHead(Tensor out) {
    return new HeadGradients(dLogProb, dEntropy, outDHidden, out, false);
  }

  /** The same, adding the gradient of the head to what the tensor holds. */
  public HeadGradients addingToDHead(Tensor out) {
    return new HeadGradients(dLogProb, dEntropy, outDHidden, out, true);
  }

  /** Whether a token has no gradients: it then gives none, whatever its hidden state holds. */
  public boolean areZero(int token) {
    return dLogProb.accessor().get(token) == 0
        && (dEntropy == null || dEntropy.accessor().get(token) == 0);
  }

  void check(HeadInput input, HeadOutput forward) {
    HeadOutput.check("dLogProb", dLogProb, input);
    if (dEntropy != null) {
      HeadOutput.check("dEntropy", dEntropy, input);
      checkArgument(
          forward.entropy() != null, "forward: expected entropies since dEntropy is given");
    }
    if (outDHidden != null) {
      check("outDHidden", outDHidden, input, input.tokens());
      checkApart("outDHidden", outDHidden, input, forward);
    }
    if (outDHead != null) {
      check("outDHead", outDHead, input, input.vocabulary());
      checkApart("outDHead", outDHead, input, forward);
    }
    checkArgument(
        outDHidden == null || outDHead == null || !Checks.overlap(outDHidden, outDHead),
        "outDHead: must not overlap outDHidden");
  }

  private static void check(String name, Tensor out, HeadInput input, long rows) {
    Checks.matrix(name, out, DType.F32);
    Checks.shape(name, out, rows, input.width());
    Checks.writable(name, out);
    Checks.sameDevice(name, out, "hidden", input.hidden());
  }

  private void checkApart(String name, Tensor out, HeadInput input, HeadOutput forward) {
    apart(name, out, "hidden", input.hidden());
    apart(name, out, "head", input.head());
    apart(name, out, "targets", input.targets());
    apart(name, out, "logProb", forward.logProb());
    apart(name, out, "logSumExp", forward.logSumExp());
    apart(name, out, "entropy", forward.entropy());
    apart(name, out, "dLogProb", dLogProb);
    apart(name, out, "dEntropy", dEntropy);
  }

  private static void apart(String name, Tensor out, String readName, @Nullable Tensor read) {
    checkArgument(
        read == null || !Checks.overlap(out, read), "%s: must not overlap %s", name, readName);
  }
}

package io.github.lightning4j.cispo.head;

import io.github.lightning4j.cispo.internal.CudaHead;
import io.github.lightning4j.cispo.internal.CudaHeadBackward;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;

/**
 * {@link FusedHead} on a GPU: log-probability, log-sum-exp and entropy of each token, from hidden
 * states and head in BF16, without the logits in memory, and the gradients of both. Calls put work
 * on a stream and return; tensors must stay open until it has ended.
 *
 * <p><b>Numerics.</b> Logits are fp32 sums of exact products of BF16; their sums over the
 * vocabulary are fp32 within a thread and a tile, double beyond, in the same order always: the same
 * call gives the same bits. The target is kept out of the sums, so the log-probability of a nearly
 * certain token has a small relative error. Logits that are not finite make the token's outputs
 * NaN, and so does a target outside the vocabulary, since nobody on a GPU can be told of it
 * otherwise. Gradients of logits are rounded to BF16 (each to 2^-9 of itself, those of nearly
 * certain tokens too), and multiplied with fp32 sums, which go from block to block of the
 * vocabulary and of the tokens in fp32. A token whose gradients are 0 gives none, whatever its
 * hidden state and its target are; one of a NaN with gradients spoils the gradient of the head.
 *
 * <p><b>Cost.</b> {@code 2 T V H} operations on tensor cores forward, {@code 6 T V H} backward
 * ({@code 2 T V H} less for each gradient left out); for few tokens the floor is one read of the
 * head forward, and two reads of it and a write of its gradient backward. The first call with new
 * types compiles kernels; make it before recording a graph.
 */
public final class CudaFusedHead {
  private final CudaStream stream;

  private CudaFusedHead(CudaStream stream) {
    this.stream = stream;
  }

  /** The operator whose work goes to a stream. */
  public static CudaFusedHead on(CudaStream stream) {
    return new CudaFusedHead(stream);
  }

  /** The elements of the F32 scratch memory for T tokens over V words. */
  public long scratchElements(long tokens, long vocabulary) {
    return CudaHead.scratchElements(stream.device(), tokens, vocabulary);
  }

  /**
   * Log-probabilities, and entropies if wanted.
   *
   * @param hidden {@code [T, H]} BF16, H a multiple of 8, rows at multiples of 16 bytes
   * @param head {@code [V, H]} as hidden: a row a word
   * @param targets {@code [T]} I32 or I64, contiguous
   * @param temperature divides the logits; {@code > 0}
   * @param scratch {@code [scratchElements(T, V)]} F32, contiguous
   * @param out what is written
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, or something
   *     overlaps
   */
  public void forward(
      Tensor hidden,
      Tensor head,
      Tensor targets,
      double temperature,
      Tensor scratch,
      HeadOutput out) {
    CudaHeadArguments arguments = new CudaHeadArguments(stream, hidden, head, targets, temperature);
    long tokens = arguments.tokens();
    arguments.written("scratch", scratch, DType.F32, scratchElements(tokens, head.size(0)));
    arguments.written("logProb", out.logProb(), DType.F32, tokens);
    arguments.written("logSumExp", out.logSumExp(), DType.F64, tokens);
    arguments.written("entropy", out.entropy(), DType.F32, tokens);
    if (tokens > 0) {
      CudaHead.forward(stream, hidden, head, targets, temperature, scratch, out);
    }
  }

  /** The elements of the F32 scratch memory of {@link #backward}; at most 2^24, 64 MiB. */
  public long backwardScratchElements(long tokens, long vocabulary) {
    return CudaHeadBackward.scratchElements(tokens, vocabulary);
  }

  /**
   * The gradients of a loss that depends on log-probabilities, and on entropies if it does: the
   * formulas of {@link FusedHead}, logits made again.
   *
   * @param hidden as given to {@link #forward}
   * @param head as given to {@link #forward}
   * @param targets as given to {@link #forward}
   * @param temperature as given to {@link #forward}
   * @param forward as {@link #forward} wrote it
   * @param gradients what is known and what is wanted; the outputs are F32, with rows of any stride
   * @param scratch {@code [backwardScratchElements(T, V)]} F32, contiguous, at a multiple of 16
   *     bytes
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, something
   *     that is written overlaps another argument, or entropies are missing
   */
  public void backward(
      Tensor hidden,
      Tensor head,
      Tensor targets,
      double temperature,
      HeadOutput forward,
      HeadGradients gradients,
      Tensor scratch) {
    CudaHeadArguments arguments = new CudaHeadArguments(stream, hidden, head, targets, temperature);
    arguments.gradients(forward, gradients);
    arguments.scratch(scratch, backwardScratchElements(arguments.tokens(), head.size(0)));
    if (gradients.outDHidden() != null || gradients.outDHead() != null) {
      CudaHeadBackward.run(
          stream,
          new CudaHeadBackward.Call(
              hidden, head, targets, temperature, forward, gradients, scratch));
    }
  }
}

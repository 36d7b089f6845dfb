package io.github.lightning4j.cispo.head;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.cispo.internal.CispoKernels;
import io.github.lightning4j.cispo.internal.HeadKernels;
import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;

/**
 * Log-probability and entropy from the head of a language model, in tiles of the vocabulary, and
 * the gradients of both.
 *
 * <pre>
 *   z_tv = hidden_t . head_v / temperature         lse_t = log sum_v exp z_tv      p = exp(z - lse)
 *   logProb_t = z_t,target - lse_t                 entropy_t = - sum_v p_tv log p_tv
 *
 *   dz_tv = dLogProb_t (1[v = target] - p_tv) - dEntropy_t p_tv (log p_tv + entropy_t)
 *   dHidden_t = sum_v dz_tv head_v / temperature   dHead_v = sum_t dz_tv hidden_t / temperature
 * </pre>
 *
 * <p>The logits of one token over 200,064 words take 800 KB in fp32, those of a response of 80,000
 * tokens 64 GB. Here they are made tile by tile, and made again by the backward pass, which needs
 * the log-probability and the log-sum-exp of each token and no more.
 *
 * <p>Numerics: on the CPU fp32 products and sums over the width, operands of BF16 widened exactly;
 * sums over the vocabulary in fp32 within 4096 words, in double beyond; in the reference doubles.
 * Log-probabilities of nearly certain tokens, and the gradients of their logits, have a small
 * relative error: neither {@code log p} nor {@code 1 - p} is made from a rounded p. Results do not
 * depend on the number of threads. Logits that are not finite make the token's outputs NaN.
 *
 * <p>Cost: {@code 2 T V H} operations forward, {@code 6 T V H} backward ({@code 2 T V H} less for
 * each gradient left out). Memory beside the arguments: forward 2 MiB a thread and 12 T V / 4096
 * bytes; backward 1 MiB a thread and at most 32 MiB. At most 30 threads take part, so that both
 * stay below 64 MiB at 4,096 tokens of 200,064 words.
 *
 * <p>Source: the logits-free loss of Wijmans et al., "Cut Your Losses in Large-Vocabulary Language
 * Models" (arXiv 2411.09009); for the need of fp32 here, MiniMax-M1 (arXiv 2506.13585), section
 * 3.2.
 */
public final class FusedHead {
  private final HeadKernels kernels;

  private FusedHead(HeadKernels kernels) {
    this.kernels = kernels;
  }

  /** Whether native kernels serve this artifact, and if not, why. */
  public static Availability availability() {
    return CispoKernels.library().availability();
  }

  /** The fastest implementation of this machine. */
  public static FusedHead best() {
    return of(CispoKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static FusedHead of(Backend backend) {
    return new FusedHead(HeadKernels.of(backend));
  }

  /**
   * Log-probabilities, and entropies if wanted.
   *
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or tensors overlap
   * @throws IllegalStateException if a tensor is closed
   */
  public void forward(HeadInput input, HeadOutput out) {
    out.check(input);
    out.checkWritable();
    apart("logProb", out.logProb(), input);
    apart("logSumExp", out.logSumExp(), input);
    Tensor entropy = out.entropy();
    checkArgument(
        !Checks.overlap(out.logProb(), out.logSumExp()), "logSumExp: must not overlap logProb");
    if (entropy != null) {
      apart("entropy", entropy, input);
      checkArgument(
          !Checks.overlap(entropy, out.logProb()) && !Checks.overlap(entropy, out.logSumExp()),
          "entropy: must not overlap logProb or logSumExp");
    }
    if (input.tokens() > 0) {
      kernels.forward(input, out);
    }
  }

  private static void apart(String name, Tensor out, HeadInput input) {
    checkArgument(
        !Checks.overlap(out, input.hidden())
            && !Checks.overlap(out, input.head())
            && !Checks.overlap(out, input.targets()),
        "%s: must not overlap the input",
        name);
  }

  /**
   * The gradients of a loss that depends on log-probabilities, and on entropies if it does.
   *
   * @param input as given to {@link #forward}
   * @param forward as {@link #forward} wrote it
   * @param gradients what is known and what is wanted
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or tensors overlap
   * @throws IllegalStateException if a tensor is closed
   */
  public void backward(HeadInput input, HeadOutput forward, HeadGradients gradients) {
    forward.check(input);
    gradients.check(input, forward);
    kernels.backward(input, forward, gradients);
  }
}

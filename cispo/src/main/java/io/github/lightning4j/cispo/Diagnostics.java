package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.BitSet;
import java.util.Collection;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/**
 * What a loss saw of a batch, over the tokens that count. Kept as sums, so that those of
 * micro-batches and shards can be {@linkplain #merge merged}. Fractions are of all tokens that
 * count; where none does, they and all means are 0. Ratios are those of the loss (of sequences for
 * GSPO), with log-ratios clamped to &plusmn;20.
 */
public final class Diagnostics {
  private final SignCounts tokens;
  private final SignCounts above;
  private final SignCounts below;
  private final SignCounts stopped;
  private final Ratios ratios;
  private final KlEstimates old;
  private final @Nullable KlEstimates reference;
  private final double entropy;
  private final BitSet groups;
  private final BitSet moving;

  /** Sums over ratios. */
  record Ratios(double sum, double squares, double most) {
    Ratios plus(Ratios other) {
      return new Ratios(sum + other.sum, squares + other.squares, Math.max(most, other.most));
    }
  }

  Diagnostics(
      SignCounts tokens,
      SignCounts above,
      SignCounts below,
      SignCounts stopped,
      Ratios ratios,
      KlEstimates old,
      @Nullable KlEstimates reference,
      double entropy,
      BitSet groups,
      BitSet moving) {
    this.tokens = tokens;
    this.above = above;
    this.below = below;
    this.stopped = stopped;
    this.ratios = ratios;
    this.old = old;
    this.reference = reference;
    this.entropy = entropy;
    this.groups = groups;
    this.moving = moving;
  }

  /**
   * Those of several parts of a batch together. A reference or entropies that one part lacks are
   * absent from the result.
   *
   * @throws IllegalArgumentException if there are none
   */
  public static Diagnostics merge(Collection<Diagnostics> parts) {
    checkArgument(!parts.isEmpty(), "parts: expected one or more, got none");
    return parts.stream().reduce(Diagnostics::plus).orElseThrow();
  }

  private Diagnostics plus(Diagnostics other) {
    return new Diagnostics(
        tokens.plus(other.tokens),
        above.plus(other.above),
        below.plus(other.below),
        stopped.plus(other.stopped),
        ratios.plus(other.ratios),
        old.plus(other.old),
        reference == null || other.reference == null ? null : reference.plus(other.reference),
        entropy + other.entropy,
        either(groups, other.groups),
        either(moving, other.moving));
  }

  private static BitSet either(BitSet a, BitSet b) {
    BitSet both = (BitSet) a.clone();
    both.or(b);
    return both;
  }

  /** How many tokens count. */
  public SignCounts tokens() {
    return tokens;
  }

  /** Tokens whose ratio is above the upper bound of the loss's {@link ClipRange}. */
  public SignCounts above() {
    return above;
  }

  /** Tokens whose ratio is below the lower bound. */
  public SignCounts below() {
    return below;
  }

  /**
   * Tokens that the surrogate gives no gradient: clipped ones of {@link ClippedSurrogate}, those
   * outside the trust region of {@link Cispo}, and those without advantage.
   */
  public SignCounts stopped() {
    return stopped;
  }

  /** The fraction of tokens above, whatever the sign. */
  public double clippedAbove() {
    return mean(above.total());
  }

  /** The fraction of tokens below, whatever the sign. */
  public double clippedBelow() {
    return mean(below.total());
  }

  /**
   * The mean of the ratios; near 1 while the old policy's samples still stand for the new one's.
   */
  public double meanRatio() {
    return mean(ratios.sum);
  }

  /** The largest ratio. */
  public double maxRatio() {
    return ratios.most;
  }

  /**
   * The effective sample size as a fraction, {@code (sum r)^2 / (n sum r^2)}: 1 if all ratios are
   * equal, 1 / n if one has all the weight.
   */
  public double effectiveSampleSize() {
    return ratios.squares == 0 ? 0 : mean(ratios.sum * ratios.sum / ratios.squares);
  }

  /** Of {@code KL(old || new)}: how far the policy went from the one that sampled. */
  public KlEstimates oldKl() {
    return old.times(mean(1));
  }

  /** Of {@code KL(new || reference)}, as if the new policy had sampled; if there is a reference. */
  public Optional<KlEstimates> referenceKl() {
    return Optional.ofNullable(reference).map(sum -> sum.times(mean(1)));
  }

  /** The mean entropy; if there are entropies. */
  public OptionalDouble entropy() {
    return Double.isNaN(entropy) ? OptionalDouble.empty() : OptionalDouble.of(mean(entropy));
  }

  /** Groups that have a token that counts; 0 where the batch has no groups. */
  public long groups() {
    return groups.cardinality();
  }

  /** Of these, groups without any advantage: equal rewards, nothing to learn from. */
  public long zeroVarianceGroups() {
    return groups.cardinality() - moving.cardinality();
  }

  private double mean(double sum) {
    return tokens.total() == 0 ? 0 : sum / tokens.total();
  }
}

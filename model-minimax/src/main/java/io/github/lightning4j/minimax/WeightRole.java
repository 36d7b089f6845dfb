package io.github.lightning4j.minimax;

/** What a weight is for; formats and byte counts are told by role. */
public enum WeightRole {
  /** The table of token embeddings. */
  EMBEDDING,
  /** The language-model head. */
  HEAD,
  /** Projections of both kinds of attention. */
  ATTENTION,
  /** The router of the mixture of experts. */
  ROUTER,
  /** The experts. */
  EXPERT,
  /** The shared expert and its coefficient. */
  SHARED_EXPERT,
  /** Norm weights. */
  NORM,
  /** Vision tower, projector and newline. */
  VISION
}

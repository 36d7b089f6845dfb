package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import io.github.lightning4j.vlmquant.TokenClass;
import org.jspecify.annotations.Nullable;

/**
 * The cache of one softmax layer in one sequence, and which tokens of a prompt stay in 16 bits.
 *
 * <p>During a prompt nothing is quantized until these tokens are known. They are known once its
 * rows have been {@linkplain #see seen}: at the end of the prompt where its tokens read one another
 * exactly, else before the first of them reads.
 */
interface LayerCache extends AutoCloseable {
  /**
   * Tokens that are appended, and attend.
   *
   * @param q queries {@code [T, heads, d]}
   * @param k keys {@code [T, kvHeads, d]}, as the cache {@linkplain #storesKeysBeforeRotation
   *     wants} them
   * @param v values, as {@code k}
   * @param classes TEXT or VISUAL {@code [T]}; null: all text
   * @param scale factor of the scores
   * @param out {@code [T, heads, d]}
   */
  record Step(
      Tensor q, Tensor k, Tensor v, TokenClass @Nullable [] classes, float scale, Tensor out) {}

  /** A copy that goes its own way; not while a prompt is read. */
  LayerCache fork();

  /** Whether keys are stored before the rotary embedding. */
  boolean storesKeysBeforeRotation();

  /**
   * A prompt begins.
   *
   * @param asQuantized whether its tokens read one another as quantized, whatever the policy says
   */
  void beginPrompt(boolean asQuantized);

  /**
   * Looks at the layer's input {@code [T, H]}, of the tokens that are appended next.
   *
   * @throws io.github.lightning4j.kvquant.quantizer.NonFiniteInputException naming layer and token,
   *     if tokens are looked for among NaN or infinities
   */
  void see(Tensor hidden);

  /** The prompt is complete; nothing happens where it is already. */
  void endPrompt();

  /** Appends tokens and attends from them. */
  void attend(Operators operators, Step step);

  /** As {@link #attend}, but the cache stays as it is. Not while a prompt is read. */
  void attendGuess(Operators operators, Step step);

  /** Appends tokens of text that have attended as a guess; as {@link #attend}. */
  void append(Tensor k, Tensor v);

  /** Elements of a token's key and value. */
  long elements();

  /** Bytes of the pages, also of those that forks share. */
  long bytes();

  /** Bytes of the packed pages for each token in them; 0 before there is one. */
  double packedBytesPerToken();

  /** Bytes that the tokens take by themselves, without slots that wait. */
  long storedBytes();

  /** Bytes of full pages that no later token changes. */
  long lastingBytes();

  /**
   * Bytes of new pages that more tokens may take, at most, with the end of their prompt.
   *
   * @param guess whether they attend as a guess before they are appended
   */
  long bytesNeeded(long tokens, boolean guess);

  /** How much of {@link #bytesNeeded} stays, at most, once the prompt has ended. */
  default long bytesKept(long tokens, boolean guess) {
    return bytesNeeded(tokens, guess);
  }

  @Override
  void close();

  /** What was not finite in a row that a layer saw, with the layer. */
  static NonFiniteInputException inLayer(int layer, NonFiniteInputException e) {
    int unknown = NonFiniteInputException.UNKNOWN;
    return e.at(e.what(), layer, unknown, unknown);
  }
}

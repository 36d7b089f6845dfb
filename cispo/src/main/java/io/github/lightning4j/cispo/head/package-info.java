/**
 * Log-probabilities of sampled tokens from the hidden states and the head of a language model, with
 * their gradients, without the logits ever being in memory.
 *
 * <p>{@link io.github.lightning4j.cispo.head.FusedHead} takes a {@link
 * io.github.lightning4j.cispo.head.HeadInput} to a {@link
 * io.github.lightning4j.cispo.head.HeadOutput}, and with {@link
 * io.github.lightning4j.cispo.head.HeadGradients} back.
 */
@NullMarked
package io.github.lightning4j.cispo.head;

import org.jspecify.annotations.NullMarked;

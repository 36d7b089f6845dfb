/**
 * Losses that training adds so that routing stays even and logits stay small: {@link
 * io.github.lightning4j.moe.loss.AuxLoss} evaluates any number of {@link
 * io.github.lightning4j.moe.loss.LossTerm}s over a {@link
 * io.github.lightning4j.moe.loss.RouterBatch}, with the gradient of their sum.
 */
@NullMarked
package io.github.lightning4j.moe.loss;

import org.jspecify.annotations.NullMarked;

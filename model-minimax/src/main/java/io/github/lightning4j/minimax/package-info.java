/**
 * The MiniMax-Text-01 / MiniMax-M1 hybrid model: lightning attention in most layers, softmax
 * attention in some, a mixture of experts in all.
 *
 * <p>{@link io.github.lightning4j.minimax.MiniMaxConfig} reads both published config dialects;
 * {@link io.github.lightning4j.minimax.Checkpoint} maps the weights in any of their three layouts;
 * {@link io.github.lightning4j.minimax.MiniMaxModel} holds them, immutable and shared by all
 * threads; a {@link io.github.lightning4j.minimax.Session} holds all that changes with one
 * sequence; a {@link io.github.lightning4j.minimax.Generator} samples, streams and stops; a {@link
 * io.github.lightning4j.minimax.GenerationQueue} does so for many at once, and a {@link
 * io.github.lightning4j.minimax.PrefixCache} spares what was read before.
 */
@NullMarked
package io.github.lightning4j.minimax;

import org.jspecify.annotations.NullMarked;

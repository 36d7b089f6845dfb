/**
 * Lightning attention: linear attention in which each head forgets at its own fixed rate.
 *
 * <p>Instead of keys and values of all past tokens, a head keeps one matrix, its state. {@link
 * io.github.lightning4j.attention.LightningAttention} runs it over many tokens (prefill; {@link
 * io.github.lightning4j.attention.Prefill} has all its choices), over one (decode), and backward
 * ({@link io.github.lightning4j.attention.Gradients}). {@link
 * io.github.lightning4j.attention.Decay} says how fast each head forgets, {@link
 * io.github.lightning4j.attention.Slopes} gives the published rates, {@link
 * io.github.lightning4j.attention.GatedRmsNorm} is the norm that follows it in the models, apart or
 * as an {@link io.github.lightning4j.attention.OutputNorm} of the same call, and {@link
 * io.github.lightning4j.attention.Segments} splits one sequence over threads or machines.
 *
 * <p>The state is always the true state after the last token, in F32, laid out {@code [heads, Dk,
 * Dv]}; it can be handed from prefill to decode, kept, copied, and handed back.
 */
@NullMarked
package io.github.lightning4j.attention;

import org.jspecify.annotations.NullMarked;

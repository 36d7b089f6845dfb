/**
 * Text on its way into the model and out of it.
 *
 * <p>A conversation is a {@link io.github.lightning4j.minimax.text.ChatRequest}. A {@link
 * io.github.lightning4j.minimax.text.ChatTemplate} turns it into the one string the model was
 * trained to continue, and a {@link io.github.lightning4j.minimax.text.Tokenizer} turns that string
 * into token ids. Generated ids come back one at a time: a {@link
 * io.github.lightning4j.minimax.text.TextStream} gives out text as soon as its characters are
 * whole, {@link io.github.lightning4j.minimax.text.StopStrings} holds back what may become a stop
 * string, and {@link io.github.lightning4j.minimax.text.ToolCalls} reads the calls out of the
 * finished answer.
 *
 * <p>Everything here works on a checkpoint folder as published ({@code tokenizer.json}, or {@code
 * vocab.json} and {@code merges.txt}; {@code tokenizer_config.json}) and never uses the network.
 */
@NullMarked
package io.github.lightning4j.minimax.text;

import org.jspecify.annotations.NullMarked;

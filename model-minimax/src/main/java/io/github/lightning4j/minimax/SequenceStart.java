package io.github.lightning4j.minimax;

import org.jspecify.annotations.Nullable;

/**
 * Where a sequence begins.
 *
 * @param session has read the first {@code read} tokens, or has a past of its own before the first
 * @param read tokens of the sequence read already
 * @param path where its states are kept for others; null: nowhere
 */
record SequenceStart(Session session, int read, @Nullable PrefixPath path) {}

/**
 * Key-value caches for softmax attention, exact or quantized, and attention over them.
 *
 * <p>A {@link io.github.lightning4j.kvquant.KvCache} holds the keys and values of one sequence in
 * one layer, in pages of 64 tokens. Pages are shared between a cache and its forks until one of
 * them writes, so branching a conversation costs no memory. {@link
 * io.github.lightning4j.kvquant.CacheAttention} reads the pages where they lie: for one new token
 * (decode) or for many (prefill), with the same bits either way. {@link
 * io.github.lightning4j.kvquant.KvCacheConfig} says how tokens are held.
 */
@NullMarked
package io.github.lightning4j.kvquant;

import org.jspecify.annotations.NullMarked;

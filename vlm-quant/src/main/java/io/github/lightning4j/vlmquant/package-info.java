/**
 * Token policies for key-value caches of vision-language models, after AKVQ-VL.
 *
 * <p>AKVQ-VL stores each token of a cache at a precision that depends on what the token is: recent
 * tokens and the few pivots that absorb most attention stay at 16 bits, text may take 4, the many
 * visual tokens take 2. So far there is the vocabulary, {@link
 * io.github.lightning4j.vlmquant.TokenClass}, and the account, {@link
 * io.github.lightning4j.vlmquant.BitBudget}; nothing here quantises yet.
 */
@NullMarked
package io.github.lightning4j.vlmquant;

import org.jspecify.annotations.NullMarked;

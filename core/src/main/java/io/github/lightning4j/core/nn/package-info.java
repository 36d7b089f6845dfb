/**
 * Small row-wise operators that several artifacts share: RMS norm, scaled residual sums, rotary
 * position embedding, embedding lookup. Each reads and writes its rows once.
 */
@NullMarked
package io.github.lightning4j.core.nn;

import org.jspecify.annotations.NullMarked;

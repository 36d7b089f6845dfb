/**
 * What stands around the loss in MiniMax-M1's recipe and its neighbours': advantages from rewards,
 * which prompts to keep, how long and how repetitive a response may be, how stale samples are, the
 * correction between a generator and a trainer, and the optimizer's numbers.
 *
 * <p>Plain Java in double. None of it knows a model or a trainer: numbers go in, numbers and
 * decisions come out.
 */
@NullMarked
package io.github.lightning4j.cispo.recipe;

import org.jspecify.annotations.NullMarked;

/**
 * A policy that learns: a small autoregressive network in plain Java, trained by the losses of
 * {@code cispo} on a task whose answers can be checked.
 *
 * <p>{@link io.github.lightning4j.examples.learning.SortingTask} asks and rewards, {@link
 * io.github.lightning4j.examples.learning.DigitPolicy} answers, {@link
 * io.github.lightning4j.examples.learning.PolicyTraining} takes the policy through rollouts and
 * updates, and {@link io.github.lightning4j.examples.learning.Comparison} does so for several
 * recipes and seeds.
 */
@NullMarked
package io.github.lightning4j.examples.learning;

import org.jspecify.annotations.NullMarked;

package io.github.lightning4j.core;

/**
 * Which implementation of an operator runs.
 *
 * <p>Operators choose by themselves ({@code X.best()}); tests and comparisons force one with {@code
 * X.of(Backend)}. Forcing one that is not available throws {@link IllegalStateException} with the
 * reason and the way out.
 */
public enum Backend {
  /** Plain Java with double accumulation: the specification, and the fallback. */
  REFERENCE,
  /** Native kernels for the instruction set of this CPU. */
  CPU
}

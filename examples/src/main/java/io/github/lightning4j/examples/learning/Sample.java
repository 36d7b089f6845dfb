package io.github.lightning4j.examples.learning;

/**
 * An answer as it was sampled.
 *
 * @param prompt the digits to sort
 * @param answer the digits that came
 * @param logProbs of the policy that sampled them
 * @param reward 0 or 1
 */
record Sample(int[] prompt, int[] answer, double[] logProbs, double reward) {}

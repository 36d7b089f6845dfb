package io.github.lightning4j.jmh.device;

/**
 * What a row took.
 *
 * @param timing of one step
 * @param bytes that a step must read and write; 0 where nobody asks
 * @param operations that a step must do; 0 where nobody asks
 */
record Measured(Timing timing, double bytes, double operations) {}

package io.github.lightning4j.jmh.device;

import java.util.function.IntConsumer;

/**
 * What is timed.
 *
 * @param step puts step i on the scene's stream; successive steps use memory of their own, so that
 *     no cache holds it
 * @param variants after how many steps memory comes around again
 * @param bytes that a step must read and write; 0 where nobody asks
 * @param operations that a step must do; 0 where nobody asks
 * @param recorded whether steps are recorded once and run as a graph, which leaves out what the CPU
 *     takes for a launch
 */
record Job(IntConsumer step, int variants, double bytes, double operations, boolean recorded) {
  /** Steps bound by memory. */
  static Job ofBytes(IntConsumer step, int variants, double bytes) {
    return new Job(step, variants, bytes, 0, false);
  }

  /** Steps bound by tensor cores. */
  static Job ofOperations(IntConsumer step, double operations) {
    return new Job(step, 1, 0, operations, false);
  }

  /** The same, recorded. */
  Job asGraph() {
    return new Job(step, variants, bytes, operations, true);
  }
}

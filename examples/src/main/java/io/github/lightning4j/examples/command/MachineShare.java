package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.kernel.MachineLimits;
import io.github.lightning4j.minimax.StepCost;

/**
 * How much of the machine a speed uses.
 *
 * @param cost what a token costs
 * @param bytesPerSecond what all threads together read from memory
 * @param operationsPerSecond what all threads together multiply and add at most
 * @param peak what those operations are: {@code fma}, in fp32, or {@code amx}, of bf16 in tiles
 */
record MachineShare(StepCost cost, double bytesPerSecond, double operationsPerSecond, String peak) {
  /**
   * By limits measured just now: tiles where there are any, which serve weights of every format.
   */
  static MachineShare of(StepCost cost, MachineLimits limits) {
    return limits
        .amx()
        .map(amx -> new MachineShare(cost, limits.read().allThreads(), amx.allThreads(), "amx"))
        .orElseGet(
            () ->
                new MachineShare(
                    cost, limits.read().allThreads(), limits.fma().allThreads(), "fma"));
  }

  /**
   * Of the read bandwidth, by the bytes of weights; above 1 where they stay in a cache.
   *
   * @param tokens decoded a second
   */
  double ofBandwidth(double tokens) {
    return tokens * cost.decodeBytes() / bytesPerSecond;
  }

  /**
   * Of the peak, by the operations with weights, however many products of the machine one of them
   * takes (with weights of 8 and 4 bits it may be above 1).
   *
   * @param tokens of a prompt read a second
   */
  double ofPeak(double tokens) {
    return tokens * cost.prefillOperations() / operationsPerSecond;
  }

  void addTo(ObjectNode node) {
    node.put("decodeBytesPerToken", cost.decodeBytes());
    node.put("prefillOperationsPerToken", cost.prefillOperations());
    node.put("readBytesPerSecond", bytesPerSecond);
    node.put("operationsPerSecond", operationsPerSecond);
    node.put("operations", peak);
  }
}

package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.kernel.MachineLimits;
import io.github.lightning4j.minimax.StepCost;

/**
 * How much of the machine a speed uses.
 *
 * @param cost what a token costs
 * @param bytesPerSecond what all threads together read from memory
 * @param operationsPerSecond what all threads together multiply and add in fp32
 */
record MachineShare(StepCost cost, double bytesPerSecond, double operationsPerSecond) {
  /** By limits measured just now. */
  static MachineShare of(StepCost cost, MachineLimits limits) {
    return new MachineShare(cost, limits.read().allThreads(), limits.fma().allThreads());
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
   * Of the fp32 multiply-adds, by the operations with weights.
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
  }
}

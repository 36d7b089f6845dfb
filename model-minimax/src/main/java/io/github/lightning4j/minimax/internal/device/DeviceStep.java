package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.Tensor;

/**
 * What the layers of one pass work on and with.
 *
 * @param shape how rows belong to sequences
 * @param inputs tokens, positions, slots
 * @param scratch activations
 * @param memory what sequences remember
 * @param operators which put work on the stream
 */
record DeviceStep(
    StepShape shape,
    StepInputs inputs,
    DeviceScratch scratch,
    SequencePool memory,
    DeviceOperators operators) {

  /** The states of a lightning layer. */
  Tensor states(int lightningLayer) {
    return memory.states().states(lightningLayer);
  }
}

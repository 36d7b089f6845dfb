package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.Tensor;
import java.util.List;

/**
 * What the layers of one pass work on and with.
 *
 * @param shape how rows belong to sequences
 * @param pieces the rows of each sequence
 * @param inputs tokens, positions, slots
 * @param scratch activations
 * @param memory what sequences remember
 * @param operators which put work on the stream
 */
record DeviceStep(
    StepShape shape,
    List<Piece> pieces,
    StepInputs inputs,
    DeviceScratch scratch,
    SequencePool memory,
    DeviceOperators operators) {

  /** The states of a lightning layer. */
  Tensor states(int lightningLayer) {
    return memory.states().states(lightningLayer);
  }
}

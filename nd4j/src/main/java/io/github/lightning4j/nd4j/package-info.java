/**
 * The bridge to ND4J: an {@code INDArray} seen as a {@link io.github.lightning4j.core.Tensor} and
 * the other way round, over the same memory, without a copy.
 *
 * <p>{@link io.github.lightning4j.nd4j.Nd4jTensors} is all there is to call. This is the only
 * artifact that knows ND4J, and it knows its API alone: the program brings the backend (artifact
 * {@code nd4j-native}). It must be a CPU backend, for the memory of others is not the host's.
 */
@NullMarked
package io.github.lightning4j.nd4j;

import org.jspecify.annotations.NullMarked;

/**
 * Benchmarks on a GPU: the rows that {@link io.github.lightning4j.jmh.device.DeviceRows} lists,
 * each against its goal and against what the GPU was seen to do in the same run. Times are those of
 * CUDA events.
 */
@NullMarked
package io.github.lightning4j.jmh.device;

import org.jspecify.annotations.NullMarked;

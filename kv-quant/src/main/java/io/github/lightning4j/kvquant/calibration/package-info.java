/**
 * What quantized caches must know of a model's keys and values beforehand: {@link
 * io.github.lightning4j.kvquant.calibration.Calibrator} accumulates it over a training text, {@link
 * io.github.lightning4j.kvquant.calibration.Calibration} holds it, {@link
 * io.github.lightning4j.kvquant.calibration.CalibrationFile} keeps it.
 */
@NullMarked
package io.github.lightning4j.kvquant.calibration;

import org.jspecify.annotations.NullMarked;

/**
 * What the codes of a quantized key or value mean. A {@link
 * io.github.lightning4j.kvquant.quantizer.KvQuantizer} names a format and is its specification: it
 * turns a row of floats into codes and encoded metadata, and back, in plain Java. Stores pack the
 * same codes and must give the same bits.
 */
@NullMarked
package io.github.lightning4j.kvquant.quantizer;

import org.jspecify.annotations.NullMarked;

/**
 * From results to tables of rates and to plots. {@link
 * io.github.lightning4j.jmh.report.LightningReport} is the program for attention, {@link
 * io.github.lightning4j.jmh.report.MoeReport} that for mixtures of experts.
 */
@NullMarked
package io.github.lightning4j.jmh.report;

import org.jspecify.annotations.NullMarked;

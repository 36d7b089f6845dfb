/**
 * From results of the attention benchmarks to a table of rates and to plots. {@link
 * io.github.lightning4j.jmh.report.LightningReport} is the program.
 */
@NullMarked
package io.github.lightning4j.jmh.report;

import org.jspecify.annotations.NullMarked;

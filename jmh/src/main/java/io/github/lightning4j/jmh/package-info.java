/**
 * One class an operator: what it costs, beside its reference and its peers, in one run. The
 * benchmarks may reach into {@code internal} packages, because a kernel is measured alone; nothing
 * else outside a module may.
 */
@NullMarked
package io.github.lightning4j.jmh;

import org.jspecify.annotations.NullMarked;

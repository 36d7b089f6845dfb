/** Contract tests: each operator against golden data, plain doubles, and its invariants. */
@NullMarked
package io.github.lightning4j.moe.loss;

import org.jspecify.annotations.NullMarked;

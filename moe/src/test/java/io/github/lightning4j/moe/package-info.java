/** Contract tests: each operator against golden data, plain doubles, and its invariants. */
@NullMarked
package io.github.lightning4j.moe;

import org.jspecify.annotations.NullMarked;

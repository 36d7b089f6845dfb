/** Tests of expert parallelism. */
@NullMarked
package io.github.lightning4j.moe.parallel;

import org.jspecify.annotations.NullMarked;

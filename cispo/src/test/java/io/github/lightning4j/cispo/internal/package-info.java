/** What the facade cannot show of the kernels. */
@NullMarked
package io.github.lightning4j.cispo.internal;

import org.jspecify.annotations.NullMarked;

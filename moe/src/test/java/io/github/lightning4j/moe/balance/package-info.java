/** Properties of statistics, the global router and the placement of replicas. */
@NullMarked
package io.github.lightning4j.moe.balance;

import org.jspecify.annotations.NullMarked;

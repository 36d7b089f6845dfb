/**
 * Where the load of the experts goes when it is uneven.
 *
 * <p>{@link io.github.lightning4j.moe.balance.LoadStatistics} tells how uneven it is; {@link
 * io.github.lightning4j.moe.balance.GlobalRouter} sends what is over capacity in one group of ranks
 * to where there is room; {@link io.github.lightning4j.moe.balance.ReplicaPlacement} gives busy
 * experts replicas and spreads them over GPUs. All three are plain Java over counts and give the
 * same answer on every rank.
 */
@NullMarked
package io.github.lightning4j.moe.balance;

import org.jspecify.annotations.NullMarked;

/**
 * Expert parallelism: the experts of one layer lie on several ranks, and tokens travel to them.
 *
 * <p>{@link io.github.lightning4j.moe.parallel.ExpertParallelism} says how many ranks share the
 * experts, cut each expert, and repeat the whole; {@link
 * io.github.lightning4j.moe.parallel.ParallelExperts} is the layer, over any {@link
 * io.github.lightning4j.moe.comm.Communicator}; {@link
 * io.github.lightning4j.moe.parallel.ParallelOptions} has capacity, global router, token groups and
 * the placement of replicas; {@link io.github.lightning4j.moe.parallel.ParallelWorkspace} the
 * memory.
 */
@NullMarked
package io.github.lightning4j.moe.parallel;

import org.jspecify.annotations.NullMarked;

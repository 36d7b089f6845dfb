/**
 * What the ranks of a parallel job do together: gather, add, exchange rows, check that they agree.
 *
 * <p>{@link io.github.lightning4j.moe.comm.Communicator} says what, {@link
 * io.github.lightning4j.moe.comm.ThreadCommunicator} does it between threads, {@link
 * io.github.lightning4j.moe.comm.MpiCommunicator} between processes and hosts over Open MPI. Ranks
 * that disagree and ranks that die are errors with a name on every rank, never a hang.
 */
@NullMarked
package io.github.lightning4j.moe.comm;

import org.jspecify.annotations.NullMarked;

package io.github.lightning4j.moe.comm;

import io.github.lightning4j.core.Tensor;

/**
 * The ranks of a job, or some of them, and what they do together. Every operation is called by all
 * ranks of the communicator, in the same order.
 *
 * <p>Tensors are contiguous and live on the CPU; any element type but where stated. Before data
 * moves, every rank tells every other what it calls, with which sizes, so ranks that disagree all
 * get a {@link RankMismatchException} with the same message instead of a hang or wrong data. A rank
 * that refuses its arguments ({@link IllegalArgumentException}) makes the call end with that
 * exception on the others. If a rank fails, all operations of all ranks end with a {@link
 * RankFailedException} naming it. Nothing waits for ever on a rank that is gone.
 *
 * <p>Cost: each operation sends {@code size - 1} small messages from each rank before its data;
 * that is meant for up to some hundred ranks. Used by one thread of a rank at a time.
 *
 * @see ThreadCommunicator
 * @see MpiCommunicator
 */
public interface Communicator extends AutoCloseable {
  /** The number of this rank, from 0 to {@link #size} - 1. */
  int rank();

  /** How many ranks there are. */
  int size();

  /** Returns when all ranks have called it. */
  void barrier();

  /**
   * Gathers a tensor of every rank on every rank: {@code out[r] = in of rank r}.
   *
   * @param in any shape, the same on every rank
   * @param out {@code [size, ...in]}, of the same type, not overlapping {@code in}
   */
  void allGather(Tensor in, Tensor out);

  /**
   * Adds the tensors of all ranks: {@code inOut = (rank 0 + rank 1) + rank 2 ...}, in this order,
   * whatever the number of threads and the way the data takes, so all ranks and all runs get the
   * same bits.
   *
   * <p>F64 and F32 are added in their own precision, F16 and BF16 in F32 and rounded once, to
   * nearest even; I64 and I32 wrap around. Each rank sends and receives about {@code 2 bytes (size
   * - 1) / size} and needs scratch memory of the size of the tensor.
   *
   * @param inOut any shape, the same on every rank, of one of these types
   */
  void allReduceSum(Tensor inOut);

  /**
   * Tells every rank a number: what {@code rowsFrom} of {@link #allToAll} must be.
   *
   * @param rowsTo a number {@code >= 0} for each rank
   * @return what each rank had for this one
   */
  long[] allToAllCounts(long... rowsTo);

  /**
   * Sends rows to every rank and receives rows from every rank. The rows lie in the order of ranks:
   * the first {@code rowsTo[0]} rows of {@code send} go to rank 0, and so on; {@code out} is filled
   * alike.
   *
   * @param send {@code [sum of rowsTo, ...]}
   * @param rowsTo how many rows go to each rank, 0 or more
   * @param out {@code [sum of rowsFrom, ...]}, type and row shape of {@code send}, on every rank
   *     alike, not overlapping {@code send}
   * @param rowsFrom how many rows come from each rank; see {@link #allToAllCounts}
   */
  void allToAll(Tensor send, long[] rowsTo, Tensor out, long[] rowsFrom);

  /**
   * As {@link #allToAll}, but returns at once; the transfer goes on while the caller computes. Any
   * number of transfers may be under way, and other operations between.
   */
  PendingTransfer allToAllAsync(Tensor send, long[] rowsTo, Tensor out, long[] rowsFrom);

  /**
   * Makes communicators of parts of this one: ranks that give the same color come together, in the
   * order of their keys, then of their ranks. A rank that splits several communicators does so in
   * the order of its fellows.
   */
  Communicator split(int color, int key);

  /**
   * Checks that ranks were started alike, for instance with one configuration and one checkpoint.
   *
   * @param name what is compared, for the message; the same on every rank
   * @param fingerprint at most 1024 bytes of UTF-8; a digest of what is longer
   * @throws RankMismatchException on every rank, naming the ranks and their values, if they differ
   */
  void checkSame(String name, String fingerprint);

  /**
   * Returns at once unless a rank is known to have failed; for who waits for something else than an
   * operation. Any thread may call it, at any time.
   *
   * @throws RankFailedException naming that rank
   */
  void ensureHealthy();

  /**
   * Tells all ranks that this one cannot go on: they get a {@link RankFailedException} with the
   * cause in its message. Does nothing after another failure. Closing is still due.
   */
  void fail(Throwable cause);

  /**
   * Leaves. An operation that other ranks call on it later fails. Closing the communicator of all
   * ranks closes those split from it; over MPI it waits until all ranks have closed theirs or one
   * has failed.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  void close();
}

package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.vlmquant.VlmAccount;
import java.util.List;
import java.util.Map;

/** What the layers remember of one sequence, wherever they run. */
public interface SequenceMemory extends AutoCloseable {
  /** A copy that goes its own way; not within a prompt. Caches may share full pages. */
  SequenceMemory fork();

  /**
   * What a snapshot calls the caches: memory of the same kind can {@link #load} it.
   *
   * @throws IllegalStateException if there is no snapshot of them
   */
  String snapshotKind();

  /**
   * Everything as tensors on the CPU, by the names of a snapshot; not within a prompt.
   *
   * @param scope owns what is copied
   */
  Map<String, Tensor> save(MemoryScope scope);

  /**
   * Goes on from a snapshot, before the first token.
   *
   * @param tokens of the sequence
   * @throws io.github.lightning4j.core.CheckpointException if the snapshot is broken
   * @throws io.github.lightning4j.kvquant.PageBudgetException if there are too few pages
   */
  void load(SnapshotTensors from, long tokens);

  /** What the pages of the caches count against. */
  PageBudget budget();

  /** How the caches hold keys and values. */
  KvCacheFormat format();

  /**
   * A prompt begins.
   *
   * @param asQuantized whether its tokens read one another as quantized, whatever the policy says
   */
  void beginPrompt(boolean asQuantized);

  /** The prompt is complete. */
  void endPrompt();

  /**
   * Sees to room for a sequence of so many tokens, where memory does not grow by itself.
   *
   * @throws io.github.lightning4j.kvquant.PageBudgetException if there is none; nothing has changed
   *     then
   */
  void reserve(long tokens);

  /** What the tokens of each softmax layer take by class; empty where classes are not known. */
  List<VlmAccount> accounts();

  /** Bytes held outside the heap. */
  long bytes();

  /** Bytes of the pages of all caches, also of those that forks share. */
  long cacheBytes();

  /** Bytes of the pages that states which go on from this one share for good. */
  long lastingBytes();

  /**
   * Bytes of new pages that more tokens may take, at most, the end of a prompt included.
   *
   * @param guess whether the tokens are drafted
   * @param promptEnds whether they are the last of a prompt: one layer after the other ends it then
   */
  long bytesNeeded(long tokens, boolean guess, boolean promptEnds);

  /** Bits of an element in packed pages, metadata included; 0 before there are any. */
  double packedBitsPerElement();

  /** Bytes that the tokens in the caches take by themselves, without slots of pages that wait. */
  long storedBytes();

  /** Elements of a token's keys and values in all caches. */
  long elements();

  @Override
  void close();
}

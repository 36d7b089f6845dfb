package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.internal.SequenceMemory;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.minimax.internal.SnapshotTensors;
import io.github.lightning4j.vlmquant.VlmAccount;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Of a sequence on a GPU: a slot of the pool. */
final class DeviceMemory implements SequenceMemory {
  private final DeviceEngine engine;
  private final int slot;
  private final boolean quantizes;
  private long length;
  private @Nullable DevicePrompt prompt;

  DeviceMemory(DeviceEngine engine, int slot) {
    this.engine = engine;
    this.slot = slot;
    this.quantizes = engine.pool(pool -> pool.pages().quantizes());
  }

  /** What layers on a GPU remember of a sequence that runs there. */
  static DeviceMemory of(SequenceState state) {
    return (DeviceMemory) state.memory();
  }

  int slot() {
    return slot;
  }

  /** The prompt that is being read, where caches quantize; null for none. */
  @Nullable DevicePrompt prompt() {
    return prompt;
  }

  /** How so many next tokens read keys and values. */
  Piece.Kind kind(long rows) {
    if (rows == 1 && prompt == null) {
      return Piece.Kind.SINGLE;
    }
    boolean exact = !quantizes || prompt != null && prompt.exact() && left(prompt.start()) == 0;
    return exact ? Piece.Kind.PROMPT : Piece.Kind.BEHIND;
  }

  /** Whether the next tokens are quantized before they attend. */
  boolean agesFirst() {
    return quantizes && (prompt == null || !prompt.exact());
  }

  private long left(long tokens) {
    return engine.pool(pool -> pool.pages().left(tokens));
  }

  /** The sequence has so many tokens now. */
  void reached(long tokens) {
    length = tokens;
    if (agesFirst()) {
      engine.update(pool -> pool.pages().settle(slot, length));
    }
  }

  /** Shares full pages, and copies what else there is. */
  @Override
  public SequenceMemory fork() {
    DeviceMemory copy = new DeviceMemory(engine, engine.pool(pool -> pool.fork(slot, length)));
    copy.length = length;
    return copy;
  }

  @Override
  public String snapshotKind() {
    return engine.pool(DeviceSnapshot::kind);
  }

  @Override
  public Map<String, Tensor> save(MemoryScope scope) {
    return engine.pool(pool -> new DeviceSnapshot(pool, slot).save(length, scope));
  }

  @Override
  public void load(SnapshotTensors from, long tokens) {
    engine.update(pool -> new DeviceSnapshot(pool, slot).load(from, tokens));
    length = tokens;
  }

  @Override
  public PageBudget budget() {
    return engine.plan().budget();
  }

  @Override
  public KvCacheFormat format() {
    return engine.plan().format();
  }

  @Override
  public void beginPrompt(boolean asQuantized) {
    if (quantizes) {
      prompt =
          engine.pool(
              pool -> {
                TokenPolicy tokens = pool.pages().tokens();
                boolean exact = !asQuantized && !tokens.quantizedPrefill();
                return new DevicePrompt(length, exact, tokens, pool.caches());
              });
    }
  }

  @Override
  public void endPrompt() {
    DevicePrompt ended = prompt;
    if (ended != null) {
      engine.update(pool -> pool.endPrompt(slot, ended, length));
      prompt = null;
    }
  }

  @Override
  public void reserve(long tokens) {
    engine.update(pool -> pool.pages().reserve(slot, tokens));
  }

  @Override
  public List<VlmAccount> accounts() {
    return List.of();
  }

  @Override
  public long bytes() {
    return engine.pool(pool -> pool.states().slotBytes()) + cacheBytes();
  }

  @Override
  public long cacheBytes() {
    return engine.pool(pool -> pool.pages().bytes(slot));
  }

  @Override
  public long lastingBytes() {
    return engine.pool(pool -> pool.pages().lastingBytes(length));
  }

  /** None but those of {@link #reserve}. */
  @Override
  public long bytesNeeded(long tokens, boolean guess, boolean promptEnds) {
    return 0;
  }

  @Override
  public double packedBitsPerElement() {
    return left(length) == 0 ? 0 : engine.pool(SequencePool::packedBitsPerElement);
  }

  /** What its pages take, those that wait for tokens too. */
  @Override
  public long storedBytes() {
    return cacheBytes();
  }

  @Override
  public long elements() {
    return engine.pool(SequencePool::elements);
  }

  @Override
  public void close() {
    engine.update(pool -> pool.close(slot));
  }
}

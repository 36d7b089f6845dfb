package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.internal.SequenceMemory;
import io.github.lightning4j.minimax.internal.SequenceState;
import io.github.lightning4j.vlmquant.VlmAccount;
import java.util.List;

/** Of a sequence on a GPU: a slot of the pool. */
final class DeviceMemory implements SequenceMemory {
  private final DeviceEngine engine;
  private final int slot;
  private long reserved;

  DeviceMemory(DeviceEngine engine, int slot) {
    this.engine = engine;
    this.slot = slot;
  }

  /** What layers on a GPU remember of a sequence that runs there. */
  static DeviceMemory of(SequenceState state) {
    return (DeviceMemory) state.memory();
  }

  int slot() {
    return slot;
  }

  /** Copies all pages: none are shared. */
  @Override
  public SequenceMemory fork() {
    DeviceMemory copy = new DeviceMemory(engine, engine.fork(slot, reserved));
    copy.reserved = reserved;
    return copy;
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
  public void beginPrompt(boolean asQuantized) {}

  @Override
  public void endPrompt() {}

  @Override
  public void reserve(long tokens) {
    engine.reserve(slot, tokens);
    reserved = Math.max(reserved, tokens);
  }

  @Override
  public List<VlmAccount> accounts() {
    return List.of();
  }

  @Override
  public long bytes() {
    return engine.slotBytes() + cacheBytes();
  }

  @Override
  public long cacheBytes() {
    return engine.cacheBytes(reserved);
  }

  @Override
  public long lastingBytes() {
    return 0;
  }

  /** None but those of {@link #reserve}. */
  @Override
  public long bytesNeeded(long tokens, boolean guess, boolean promptEnds) {
    return 0;
  }

  @Override
  public double packedBitsPerElement() {
    return 0;
  }

  /** What its pages take, those that wait for tokens too. */
  @Override
  public long storedBytes() {
    return cacheBytes();
  }

  @Override
  public long elements() {
    return engine.cacheElements();
  }

  @Override
  public void close() {
    engine.close(slot);
  }
}

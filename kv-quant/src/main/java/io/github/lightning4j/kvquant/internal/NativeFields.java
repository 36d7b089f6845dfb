package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Memory;
import org.bytedeco.javacpp.indexer.ByteRawIndexer;

/** 8-byte fields outside the heap, written in the order of a C++ struct, again for each call. */
final class NativeFields implements AutoCloseable {
  private final Memory memory;
  private final ByteRawIndexer raw;
  private int next;

  NativeFields(int count) {
    memory = Memory.allocate(count * 8L);
    raw = new ByteRawIndexer(Memory.pointer(memory.address(), memory.bytes()));
  }

  long address() {
    return memory.address();
  }

  /** The next field written is this one. */
  void from(int field) {
    next = field;
  }

  void put(long value) {
    raw.putLong(8L * next++, value);
  }

  void put(double value) {
    put(Double.doubleToRawLongBits(value));
  }

  @Override
  public void close() {
    memory.close();
  }
}

package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.core.OutOfNativeMemoryException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Pointer;

/** Memory for headers, used again and again. */
final class HeaderBuffers {
  private final Map<Long, Deque<Long>> free = new HashMap<>();
  private final List<Pointer> all = new ArrayList<>();

  long take(long bytes) {
    Deque<Long> fitting = free.computeIfAbsent(bytes, b -> new ArrayDeque<>());
    if (!fitting.isEmpty()) {
      return fitting.pop();
    }
    Pointer memory = Pointer.malloc(bytes);
    if (memory == null || memory.isNull()) {
      throw new OutOfNativeMemoryException(bytes, 0);
    }
    all.add(memory);
    return memory.address();
  }

  void giveBack(long address, long bytes) {
    free.get(bytes).push(address);
  }

  /** Frees all; not to be called where messages were abandoned, as they may still be written. */
  void free() {
    all.forEach(Pointer::free);
    all.clear();
    free.clear();
  }
}

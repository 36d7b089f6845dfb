package io.github.lightning4j.kvquant.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.util.concurrent.atomic.AtomicInteger;
import org.bytedeco.javacpp.Pointer;

/**
 * The memory of 64 tokens, freed by its last holder. Only a sole holder may write: a page becomes
 * shared when its holder forks and by nothing else, so the holder that finds itself alone stays so.
 */
final class Page {
  private final Memory memory;
  private final PageLedger ledger;
  private final AtomicInteger holders = new AtomicInteger(1);

  /** A page of zeros with one holder, entered in the ledger. */
  Page(long bytes, PageLedger ledger) {
    ledger.take(bytes);
    try {
      this.memory = Memory.allocate(bytes);
    } catch (RuntimeException | Error e) {
      ledger.giveBack(bytes);
      throw e;
    }
    this.ledger = ledger;
  }

  /** The same contents with one holder. */
  Page copy() {
    Page copy = new Page(memory.bytes(), ledger);
    Pointer.memcpy(
        Memory.pointer(copy.address(), memory.bytes()),
        Memory.pointer(address(), memory.bytes()),
        memory.bytes());
    return copy;
  }

  long bytes() {
    return memory.bytes();
  }

  long address() {
    return memory.address();
  }

  /** Access to the elements of the page, from the first on. */
  Elements elements(DType dtype) {
    return Tensor.view(memory, 0, dtype, memory.bytes() / dtype.bytes()).accessor();
  }

  boolean isShared() {
    return holders.get() > 1;
  }

  /**
   * One more holder.
   *
   * @throws IllegalStateException if the page is freed
   */
  Page retain() {
    holders.updateAndGet(
        count -> {
          checkState(count > 0, "page of %s bytes is freed", memory.bytes());
          return count + 1;
        });
    return this;
  }

  void release() {
    if (holders.decrementAndGet() == 0) {
      memory.close();
      ledger.giveBack(memory.bytes());
    }
  }
}

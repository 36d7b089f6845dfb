package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Memory;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.LongPointer;

/**
 * The pages of one cache in order, and beside them their addresses outside the heap, so that a
 * kernel walks the pages without a copy.
 */
final class PageTable implements AutoCloseable {
  private static final int FIRST_CAPACITY = 8;

  private final List<Page> pages = new ArrayList<>();
  private final PageLedger ledger;
  private Memory addresses;

  PageTable(PageLedger ledger) {
    this(ledger, FIRST_CAPACITY);
  }

  private PageTable(PageLedger ledger, int capacity) {
    this.ledger = ledger;
    this.addresses = Memory.allocate(capacity * 8L);
  }

  /** A table that holds the same pages. */
  PageTable share() {
    PageTable table = new PageTable(ledger, Math.max(FIRST_CAPACITY, pages.size()));
    try {
      for (Page page : pages) {
        table.add(page.retain());
      }
      return table;
    } catch (RuntimeException | Error e) {
      table.close();
      throw e;
    }
  }

  int size() {
    return pages.size();
  }

  Page get(int index) {
    return pages.get(index);
  }

  /** The address of the first of {@link #size} page addresses. */
  long address() {
    return addresses.address();
  }

  /** Access to the elements of every page. */
  Elements[] elements(DType dtype) {
    return pages.stream().map(page -> page.elements(dtype)).toArray(Elements[]::new);
  }

  /** Appends a new page; the table grows first, so that no page is left over if it cannot. */
  void add(long pageBytes) {
    reserve(pages.size() + 1);
    add(new Page(pageBytes, ledger));
  }

  /** Appends a page, whose holder this table becomes. */
  private void add(Page page) {
    reserve(pages.size() + 1);
    write(pages.size(), page);
    pages.add(page);
  }

  /** Puts another page in the place of one, which is released. */
  private void replace(int index, Page page) {
    write(index, page);
    pages.set(index, page).release();
  }

  /** A page that is shared is replaced by a copy that may be written. */
  void own(int index) {
    if (pages.get(index).isShared()) {
      replace(index, pages.get(index).copy());
    }
  }

  /** Releases the first {@code count} pages; the others move up. */
  void drop(int count) {
    if (count > 0) {
      List<Page> first = pages.subList(0, count);
      first.forEach(Page::release);
      first.clear();
      writeAll(entries(addresses));
    }
  }

  /** Bytes of the pages. */
  long bytes() {
    return pages.isEmpty() ? 0 : pages.size() * pages.get(0).bytes();
  }

  /** Releases the pages from {@code size} on. */
  void shrink(int size) {
    while (pages.size() > size) {
      pages.remove(pages.size() - 1).release();
    }
  }

  @Override
  public void close() {
    shrink(0);
    addresses.close();
  }

  private void write(int index, Page page) {
    entries(addresses).put(index, page.address());
  }

  private void reserve(int capacity) {
    if (capacity * 8L > addresses.bytes()) {
      Memory larger = Memory.allocate(2 * addresses.bytes());
      writeAll(entries(larger));
      addresses.close();
      addresses = larger;
    }
  }

  private void writeAll(LongPointer to) {
    for (int i = 0; i < pages.size(); i++) {
      to.put(i, pages.get(i).address());
    }
  }

  private static LongPointer entries(Memory memory) {
    return new LongPointer(Memory.pointer(memory.address(), memory.bytes()));
  }
}

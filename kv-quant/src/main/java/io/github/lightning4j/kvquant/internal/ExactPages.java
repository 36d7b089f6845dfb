package io.github.lightning4j.kvquant.internal;

/** The pages of tokens that are not quantized, from some position on; those before are let go. */
final class ExactPages implements AutoCloseable {
  private final PageLayout layout;
  private final PageTable pages;
  private long first;

  ExactPages(PageLayout layout, PageLedger ledger) {
    this(layout, new PageTable(ledger), 0);
  }

  private ExactPages(PageLayout layout, PageTable pages, long first) {
    this.layout = layout;
    this.pages = pages;
    this.first = first;
  }

  /** The same pages for a store that goes its own way. */
  ExactPages share() {
    return new ExactPages(layout, pages.share(), first);
  }

  PageTable table() {
    return pages;
  }

  /** The position at which the first page begins. */
  long first() {
    return first;
  }

  /** Sees to pages for tokens {@code [length, newLength)}, and that those may be written. */
  void reserve(long length, long newLength) {
    int filled = Math.toIntExact((length - first) / layout.tokens());
    if (newLength > length && length % layout.tokens() != 0 && filled < pages.size()) {
      pages.own(filled);
    }
    int wanted = Math.toIntExact(layout.pagesOf(newLength - first));
    while (pages.size() < wanted) {
      pages.add(layout.pageBytes());
    }
  }

  /** Lets go of the pages that lie before a token as a whole. */
  void dropTo(long token) {
    long count = Math.max(0, token - first) / layout.tokens();
    pages.drop(Math.toIntExact(count));
    first += count * layout.tokens();
  }

  /** Lets go of all pages; the next begins with the token at {@code length}, or a little before. */
  void restart(long length) {
    pages.shrink(0);
    first = layout.start(length);
  }

  /** Lets go of the pages of tokens from {@code length} on. */
  void truncate(long length) {
    pages.shrink(length < first ? 0 : (int) layout.pagesOf(length - first));
    first = Math.min(first, layout.start(length));
  }

  /** Counts positions from {@code tokens} later on. */
  void moveBack(long tokens) {
    first -= tokens;
  }

  /** Puts back what a snapshot says. */
  void restore(long newFirst) {
    first = newFirst;
  }

  @Override
  public void close() {
    pages.close();
  }
}

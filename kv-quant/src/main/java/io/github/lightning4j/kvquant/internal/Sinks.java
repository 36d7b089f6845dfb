package io.github.lightning4j.kvquant.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Tokens that are not quantized when they leave the window: their positions, ascending, and an
 * exact page in which the i-th of them lies in slot i.
 */
final class Sinks implements AutoCloseable {
  static final int MOST = PageLayout.TOKENS;

  private final long pageBytes;
  private final PageLedger ledger;
  private final Memory positions = Memory.allocate(8L * MOST);
  private final Elements view = Tensor.view(positions, 0, DType.I64, MOST).accessor();
  private final long[] sorted = new long[MOST];
  private int count;
  private @Nullable Page page;

  Sinks(long pageBytes, PageLedger ledger) {
    this.pageBytes = pageBytes;
    this.ledger = ledger;
  }

  Sinks share() {
    Sinks copy = new Sinks(pageBytes, ledger);
    try {
      for (int i = 0; i < count; i++) {
        copy.put(i, sorted[i]);
      }
      copy.count = count;
      copy.page = page == null ? null : page.retain();
      return copy;
    } catch (RuntimeException | Error e) {
      copy.close();
      throw e;
    }
  }

  /** Marks tokens that have not left the window; those marked already are passed over. */
  void add(long... tokens) {
    long[] fresh =
        Arrays.stream(tokens).filter(token -> indexOf(token) < 0).sorted().distinct().toArray();
    checkArgument(
        count + fresh.length <= MOST,
        "sinks: expected at most %s, got %s beside %s",
        MOST,
        fresh.length,
        count);
    System.arraycopy(fresh, 0, sorted, count, fresh.length);
    count += fresh.length;
    Arrays.sort(sorted, 0, count);
    for (int i = 0; i < count; i++) {
      put(i, sorted[i]);
    }
  }

  private void put(int i, long token) {
    sorted[i] = token;
    view.setLong(i, token);
  }

  /** The slot of a token, negative if it is no sink. */
  int indexOf(long token) {
    return Arrays.binarySearch(sorted, 0, count, token);
  }

  /** Whether one of the tokens {@code [from, to)} is a sink. */
  boolean any(long from, long to) {
    int next = before(from);
    return next < count && sorted[next] < to;
  }

  /** How many there are among the first {@code tokens}. */
  int before(long tokens) {
    int at = indexOf(tokens);
    return at >= 0 ? at : -at - 1;
  }

  /** Sees to a page that may be written. */
  Page own() {
    if (page == null) {
      page = new Page(pageBytes, ledger);
    } else if (page.isShared()) {
      Page copy = page.copy();
      page.release();
      page = copy;
    }
    return page;
  }

  /** Forgets the tokens from {@code length} on. */
  void truncate(long length) {
    while (count > 0 && sorted[count - 1] >= length) {
      count--;
    }
    if (count == 0) {
      releasePage();
    }
  }

  int count() {
    return count;
  }

  long position(int i) {
    return sorted[i];
  }

  long bytes() {
    return page == null ? 0 : page.bytes();
  }

  long positionsAddress() {
    return positions.address();
  }

  @Nullable Page page() {
    return page;
  }

  private void releasePage() {
    if (page != null) {
      page.release();
      page = null;
    }
  }

  @Override
  public void close() {
    releasePage();
    positions.close();
  }
}

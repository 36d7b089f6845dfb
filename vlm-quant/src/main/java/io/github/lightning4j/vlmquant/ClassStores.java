package io.github.lightning4j.vlmquant;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.transform.Hadamard;
import java.util.Arrays;

/**
 * An append-only store for each class of tokens, in which they lie one after another in the order
 * of their positions. Places of recent tokens are counted from a multiple of 64, so which of them
 * the softmax takes together, and with it the order of all sums, does not depend on how a sequence
 * was cut into calls.
 */
final class ClassStores implements AutoCloseable {
  /** Tokens that are read from the recent ones at once. */
  private static final int CHUNK = 256;

  private static final TokenClass[] CLASSES = TokenClass.values();

  private final VlmCacheConfig config;
  private final KvCache[] stores;
  private long recentFirst;

  ClassStores(VlmCacheConfig config, PageBudget budget) {
    this.config = config;
    this.stores = new KvCache[CLASSES.length];
    for (TokenClass tokenClass : CLASSES) {
      stores[tokenClass.ordinal()] = KvCache.create(config.store(tokenClass), budget);
    }
  }

  private ClassStores(ClassStores other) {
    config = other.config;
    stores = Arrays.stream(other.stores).map(KvCache::fork).toArray(KvCache[]::new);
    recentFirst = other.recentFirst;
  }

  ClassStores fork() {
    return new ClassStores(this);
  }

  KvCache of(TokenClass tokenClass) {
    return stores[tokenClass.ordinal()];
  }

  KvCache recent() {
    return of(TokenClass.RECENT);
  }

  /** Where a recent token lies in its store; 0 for those that are long let go. */
  long recentAt(long position) {
    return Math.max(0, position - recentFirst);
  }

  /** A fork of the recent tokens without the whole pages before a position. */
  KvCache recentFrom(long position) {
    KvCache fork = recent().fork();
    fork.dropFirst(recentAt(position));
    return fork;
  }

  /** Tokens in each store, for {@link #restore}. */
  long[] lengths() {
    return Arrays.stream(stores).mapToLong(KvCache::length).toArray();
  }

  void restore(long[] lengths) {
    for (int i = 0; i < stores.length; i++) {
      stores[i].truncate(Math.min(lengths[i], stores[i].length()));
    }
  }

  /** Copies the tokens {@code [from, to)} from the recent ones to the stores of their classes. */
  void settle(TokenLedger ledger, long from, long to) {
    if (from == to) {
      return;
    }
    long most = Math.min(CHUNK, to - from);
    try (MemoryScope scope = new MemoryScope()) {
      Tensor kv = scope.allocate(DType.F32, 2, most, config.kvHeads(), config.headDim());
      for (long first = from; first < to; first += most) {
        long count = Math.min(most, to - first);
        Tensor k = kv.select(0, 0).narrow(0, 0, count);
        Tensor v = kv.select(0, 1).narrow(0, 0, count);
        recent().read(recentAt(first), k, v);
        settleRuns(ledger, first, k, v);
      }
    }
  }

  private void settleRuns(TokenLedger ledger, long first, Tensor k, Tensor v) {
    long start = 0;
    while (start < k.size(0)) {
      TokenClass tokenClass = ledger.settled(first + start);
      long end = start + 1;
      while (end < k.size(0) && ledger.settled(first + end) == tokenClass) {
        end++;
      }
      of(tokenClass).append(k.narrow(0, start, end - start), v.narrow(0, start, end - start));
      start = end;
    }
  }

  /** All tokens as {@link VlmCache#read} gives them. */
  void read(TokenLedger ledger, Tensor outK, Tensor outV) {
    try (MemoryScope scope = new MemoryScope()) {
      Hadamard hadamard = Hadamard.best();
      Tensor row = scope.allocate(DType.F32, 2, 1, config.kvHeads(), config.headDim());
      Tensor k = row.select(0, 0);
      Tensor v = row.select(0, 1);
      long[] next = new long[TokenClass.values().length];
      for (long token = 0; token < ledger.length(); token++) {
        if (token < ledger.left()) {
          TokenClass tokenClass = ledger.settled(token);
          of(tokenClass).read(next[tokenClass.ordinal()]++, k, v);
        } else {
          recent().read(recentAt(token), k, v);
        }
        RotatedRows.rotate(k, hadamard);
        RotatedRows.rotate(v, hadamard);
        outK.narrow(0, token, 1).copyFrom(k);
        outV.narrow(0, token, 1).copyFrom(v);
      }
    }
  }

  /** Lets go of recent tokens before a position, in whole pages. */
  void letGo(long position) {
    recentFirst += recent().dropFirst(Math.max(0, position - recentFirst));
  }

  /** Forgets the tokens from {@code length} on, {@code settled} of each class among them. */
  void truncate(long length, long[] settled) {
    for (int i = 0; i < stores.length; i++) {
      if (i != TokenClass.RECENT.ordinal()) {
        stores[i].truncate(stores[i].length() - settled[i]);
      }
    }
    recent().truncate(Math.max(0, Math.min(recent().length(), length - recentFirst)));
    recentFirst = Math.min(recentFirst, length);
  }

  long bytes() {
    return Arrays.stream(stores).mapToLong(KvCache::bytes).sum();
  }

  /**
   * Bytes of new pages that tokens and the end of their prompt take, at most: those of tokens whose
   * class is not known yet by the dearer of both.
   *
   * @param pivots that may be found
   * @param shared whether pages that are not full must be copied first
   */
  long bytesNeeded(TokenLedger ledger, long tokens, long pivots, boolean shared) {
    return of(TokenClass.RECENT, tokens, shared) + settledBytes(ledger, tokens, pivots, shared);
  }

  /** The same behind the end of the prompt, with pages that were shared copied. */
  long bytesKept(TokenLedger ledger, long tokens, long pivots) {
    long window = ledger.length() + tokens - ledger.leftAt(ledger.length() + tokens);
    long page = config.pageTokens(TokenClass.RECENT);
    long recent = (window + page - 1) / page * page + page; // begins within a page
    return recent / page * config.pageBytes(TokenClass.RECENT)
        + settledBytes(ledger, tokens, pivots, true);
  }

  private long settledBytes(TokenLedger ledger, long tokens, long pivots, boolean shared) {
    long left = ledger.leftAt(ledger.length() + tokens);
    long known = Math.max(ledger.left(), Math.min(left, ledger.length()));
    long[] leaving = ledger.counts(ledger.left(), known);
    long bytes = of(TokenClass.PIVOT, leaving[TokenClass.PIVOT.ordinal()] + pivots, shared);
    bytes += of(TokenClass.TEXT, leaving[TokenClass.TEXT.ordinal()], shared);
    bytes += of(TokenClass.VISUAL, leaving[TokenClass.VISUAL.ordinal()], shared);
    long unknown = left - known;
    long text = config.pageBytes(TokenClass.TEXT);
    long visual = config.pageBytes(TokenClass.VISUAL);
    long few = Math.min(config.pageTokens(TokenClass.TEXT), config.pageTokens(TokenClass.VISUAL));
    return bytes + Math.max(text, visual) * Math.min(unknown, unknown / few + 2);
  }

  /** Bytes of the pages that so many more tokens of a class take. */
  private long of(TokenClass tokenClass, long tokens, boolean shared) {
    long page = config.pageTokens(tokenClass);
    long length = of(tokenClass).length();
    long copied = shared && tokens > 0 && length % page != 0 ? 1 : 0;
    long grown = (length + tokens + page - 1) / page - (length + page - 1) / page;
    return config.pageBytes(tokenClass) * (grown + copied);
  }

  /** Bytes of full pages of settled tokens. */
  long lastingBytes() {
    long bytes = 0;
    for (TokenClass tokenClass : CLASSES) {
      if (tokenClass != TokenClass.RECENT) {
        long pages = of(tokenClass).length() / config.pageTokens(tokenClass);
        bytes += pages * config.pageBytes(tokenClass);
      }
    }
    return bytes;
  }

  /** Bytes of packed pages for each token in them; 0 without one. */
  double packedBytesPerToken() {
    double bytes = 0;
    long tokens = 0;
    for (KvCache store : stores) {
      bytes += store.bytesPerToken() * store.length();
      tokens += store.config().format() == null ? 0 : store.length();
    }
    return tokens == 0 ? 0 : bytes / tokens;
  }

  @Override
  public void close() {
    Arrays.stream(stores).forEach(KvCache::close);
  }
}

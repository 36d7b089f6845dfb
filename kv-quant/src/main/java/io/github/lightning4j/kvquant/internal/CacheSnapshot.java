package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * A store as a file, page by page as it lies in memory.
 *
 * <pre>
 *   8 bytes   "L4JKVC01": format and version
 *   4 bytes   length of the text, then the text: the configuration
 *   long      tokens; first exact page; first exact token; tokens that have left; 1 in a prompt;
 *             sinks; exact pages; packed pages; 1 if there is a page of sinks
 *   long      position of each sink
 *   pages     exact, packed, sinks
 *   long      CRC-32C of all before
 * </pre>
 *
 * <p>Numbers have the lower byte first.
 */
public final class CacheSnapshot {
  private static final byte[] MAGIC = "L4JKVC01".getBytes(StandardCharsets.US_ASCII);
  private static final int NUMBERS = 9;

  private CacheSnapshot() {}

  /** What a snapshot must have been made with; arrays by their contents. */
  static String describe(KvCacheConfig config) {
    KeyBasis basis = config.keyBasis();
    return String.join(
        ";",
        config.kvHeads() + "x" + config.headDim(),
        config.dtype().name(),
        String.valueOf(config.format()),
        config.transform().toString(),
        config.tokens().toString()
            + (config.pageTokens() == PageLayout.TOKENS ? "" : "/" + config.pageTokens()),
        basis == null ? "none" : Integer.toHexString(basis.hashCode()));
  }

  /**
   * Writes a store; the file appears whole or not at all.
   *
   * @throws CheckpointException if it cannot be written
   */
  public static void write(PagedStore store, Path file) {
    Path partial = file.resolveSibling(file.getFileName() + ".part");
    try {
      try (FileChannel to =
          FileChannel.open(
              partial,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        write(store, to);
      }
      Files.move(
          partial, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot write the snapshot", e);
    }
  }

  private static void write(PagedStore store, FileChannel to) throws IOException {
    CRC32C sum = new CRC32C();
    byte[] text = describe(store.config()).getBytes(StandardCharsets.UTF_8);
    Sinks sinks = store.sinks();
    Page sinkPage = sinks.page();
    ByteBuffer head =
        buffer(MAGIC.length + 4 + text.length + 8 * (NUMBERS + sinks.count()))
            .put(MAGIC)
            .putInt(text.length)
            .put(text)
            .putLong(store.length())
            .putLong(store.exactFirst())
            .putLong(store.exactStart())
            .putLong(store.left())
            .putLong(store.inPrompt() ? 1 : 0)
            .putLong(sinks.count())
            .putLong(store.exactPages().size())
            .putLong(store.packedPages().size())
            .putLong(sinkPage == null ? 0 : 1);
    for (int i = 0; i < sinks.count(); i++) {
      head.putLong(sinks.position(i));
    }
    put(to, head.flip(), sum);
    for (PageTable table : new PageTable[] {store.exactPages(), store.packedPages()}) {
      for (int i = 0; i < table.size(); i++) {
        put(to, contents(table.get(i)), sum);
      }
    }
    if (sinkPage != null) {
      put(to, contents(sinkPage), sum);
    }
    put(to, buffer(8).putLong(sum.getValue()).flip(), sum);
  }

  /**
   * Fills an empty store.
   *
   * @throws CheckpointException if the file is no snapshot, is truncated or damaged, or was made
   *     with another configuration; the store is to be closed then
   */
  private static void read(PagedStore store, Path file) {
    try (FileChannel from = FileChannel.open(file, StandardOpenOption.READ)) {
      read(store, file, from);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot read the snapshot", e);
    }
  }

  private static void read(PagedStore store, Path file, FileChannel from) throws IOException {
    CRC32C sum = new CRC32C();
    ByteBuffer start = get(file, from, buffer(MAGIC.length + 4), sum);
    byte[] magic = new byte[MAGIC.length];
    start.get(magic);
    if (!Arrays.equals(magic, MAGIC)) {
      throw new CheckpointException(file, "not a snapshot of a cache, or of another version");
    }
    byte[] expected = describe(store.config()).getBytes(StandardCharsets.UTF_8);
    int size = start.getInt();
    byte[] text = new byte[Math.max(0, Math.min(size, 1 << 16))];
    get(file, from, buffer(text.length), sum).get(text);
    if (!Arrays.equals(text, expected)) {
      throw new CheckpointException(
          file,
          "made with another configuration: expected "
              + new String(expected, StandardCharsets.UTF_8)
              + ", got "
              + new String(text, StandardCharsets.UTF_8));
    }
    ByteBuffer numbers = get(file, from, buffer(8 * NUMBERS), sum);
    long[] n = new long[NUMBERS];
    numbers.asLongBuffer().get(n);
    checkLength(store, file, from, n);
    ByteBuffer positions = get(file, from, buffer(8 * (int) n[5]), sum);
    while (positions.hasRemaining()) {
      store.sinks().add(positions.getLong());
    }
    fill(store.exactPages(), store.layout().pageBytes(), n[6], file, from, sum);
    fill(store.packedPages(), store.format().packedBytes(), n[7], file, from, sum);
    if (n[8] == 1) {
      get(file, from, contents(store.sinks().own()), sum);
    }
    long wanted = sum.getValue();
    long stored = get(file, from, buffer(8), sum).getLong();
    if (wanted != stored) {
      throw new CheckpointException(
          file, "damaged: expected checksum " + wanted + ", got " + stored);
    }
    store.restore(n[0], n[1], n[2], n[3], n[4] == 1);
  }

  /** The store of a snapshot. */
  public static PagedStore load(
      KvCacheConfig config, PageLedger ledger, StoreKernels kernels, Path file) {
    PagedStore store = new PagedStore(config, ledger, kernels);
    try {
      read(store, file);
      return store;
    } catch (RuntimeException | Error e) {
      store.close();
      throw e;
    }
  }

  /** Nothing is allocated before the file is seen to be as long as its numbers say. */
  private static void checkLength(PagedStore store, Path file, FileChannel from, long[] n)
      throws IOException {
    long most = from.size();
    boolean sane = n[5] >= 0 && n[5] <= Sinks.MOST && n[6] >= 0 && n[7] >= 0;
    sane &= n[6] <= most && n[7] <= most && n[8] >= 0 && n[8] <= 1;
    PageLayout layout = store.layout();
    sane &= n[0] >= n[2] && n[1] >= 0 && n[3] <= n[0] && n[3] >= n[2];
    sane &= n[2] >= n[1] || !store.format().quantizes() && n[0] >= n[1];
    sane &= n[1] % layout.tokens() == 0;
    boolean allPacked = store.format().quantizes() && n[2] == n[0];
    sane &= allPacked || n[1] / layout.tokens() + n[6] >= layout.pagesOf(Math.min(n[0], 1L << 36));
    sane &= n[7] >= PageLayout.pages(Math.min(n[3], 1L << 36));
    if (!sane) {
      throw new CheckpointException(file, "damaged: impossible numbers " + Arrays.toString(n));
    }
    long exact = store.layout().pageBytes();
    long size =
        from.position()
            + 8 * n[5]
            + exact * (n[6] + n[8])
            + store.format().packedBytes() * n[7]
            + 8;
    if (size != most) {
      throw new CheckpointException(
          file, "truncated or damaged: expected " + size + " bytes, got " + most);
    }
  }

  private static void fill(
      PageTable table, long bytes, long pages, Path file, FileChannel from, CRC32C sum)
      throws IOException {
    for (int i = 0; i < pages; i++) {
      table.add(bytes);
      get(file, from, contents(table.get(i)), sum);
    }
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static ByteBuffer contents(Page page) {
    return Memory.pointer(page.address(), page.bytes()).asByteBuffer();
  }

  private static void put(FileChannel to, ByteBuffer bytes, CRC32C sum) throws IOException {
    sum.update(bytes.duplicate());
    while (bytes.hasRemaining()) {
      to.write(bytes);
    }
  }

  private static ByteBuffer get(Path file, FileChannel from, ByteBuffer to, CRC32C sum)
      throws IOException {
    ByteBuffer all = to.duplicate().order(to.order());
    while (to.hasRemaining()) {
      if (from.read(to) < 0) {
        throw new CheckpointException(
            file, "truncated: expected " + to.remaining() + " bytes more at " + from.position());
      }
    }
    sum.update(all.duplicate());
    return all;
  }
}

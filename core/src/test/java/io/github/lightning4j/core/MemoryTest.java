package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.github.lightning4j.core.testkit.ChildJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

final class MemoryTest {
  @Test
  void alignsAndZeroesEverySize() {
    for (int bytes = 0; bytes < 300; bytes++) {
      try (Memory memory = Memory.allocate(bytes)) {
        assertThat(memory.address() % Memory.ALIGNMENT).isZero();
        assertThat(memory.bytes()).isEqualTo(bytes);
        for (int i = 0; i < bytes; i++) {
          assertThat(Memory.pointer(memory.address(), bytes).get(i)).isZero();
          Memory.pointer(memory.address(), bytes).put(i, (byte) -1);
        }
      }
    }
  }

  /** "hg" among a mapping's flags is the request; whether pages are large is up to the system. */
  @Test
  void asksForLargePagesForMuchMemory() throws IOException {
    Path maps = Path.of("/proc/self/smaps");
    assumeThat(Files.isReadable(maps)).as("mappings of this process").isTrue();
    assumeThat(Path.of("/sys/kernel/mm/transparent_hugepage")).exists();
    assumeThat(Gemm.availability().isAvailable()).as("native library").isTrue();
    try (Memory much = Memory.allocate(32 << 20);
        Memory little = Memory.allocate(1 << 20)) {
      assertThat(flags(maps, much.address() + (16 << 20))).contains(" hg ");
      assertThat(flags(maps, little.address() + (1 << 19))).doesNotContain(" hg ");
    }
  }

  /** The flags of the mapping that an address is in. */
  private static String flags(Path maps, long address) throws IOException {
    Pattern range = Pattern.compile("([0-9a-f]+)-([0-9a-f]+) .*");
    boolean within = false;
    for (String line : Files.readAllLines(maps)) {
      Matcher matcher = range.matcher(line);
      if (matcher.matches()) {
        within =
            Long.parseUnsignedLong(matcher.group(1), 16) <= address
                && address < Long.parseUnsignedLong(matcher.group(2), 16);
      } else if (within && line.startsWith("VmFlags:")) {
        return line + " ";
      }
    }
    throw new AssertionError("no mapping of " + address);
  }

  @Test
  void countsWhatIsAllocated() {
    long before = Memory.liveBytes();
    Memory a = Memory.allocate(1000);
    Memory b = Memory.allocate(24);
    assertThat(Memory.liveBytes()).isEqualTo(before + 1024);
    a.close();
    b.close();
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void closesOnce() {
    AtomicInteger closed = new AtomicInteger();
    Memory memory = Memory.wrap(4096, 8, closed::incrementAndGet);
    assertThat(memory.address()).isEqualTo(4096);
    assertThat(memory.isClosed()).isFalse();
    memory.close();
    assertThat(memory.isClosed()).isTrue();
    assertThatThrownBy(memory::close).isInstanceOf(IllegalStateException.class);
    assertThatThrownBy(memory::address)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("memory of 8 bytes is closed");
    assertThat(closed).hasValue(1);
  }

  @Test
  void refusesWhatCannotBe() {
    assertThatThrownBy(() -> Memory.allocate(-1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("bytes: expected >= 0, got -1");
    long live = Memory.liveBytes();
    for (long bytes : new long[] {Long.MAX_VALUE, 1L << 60}) {
      assertThatThrownBy(() -> Memory.allocate(bytes))
          .isInstanceOf(OutOfNativeMemoryException.class)
          .hasMessageContaining("the system refused " + bytes + " bytes");
    }
    assertThat(Memory.liveBytes()).isEqualTo(live);
  }

  @Test
  void reportsALeakOnceAndOnlyALeak() throws InterruptedException {
    List<LogRecord> records = new CopyOnWriteArrayList<>();
    Logger logger = Logger.getLogger(Memory.class.getName());
    Handler capture = new Capture(records);
    logger.addHandler(capture);
    logger.setUseParentHandlers(false);
    try {
      Memory.allocate(4242).close();
      leak(4243);
      for (int i = 0; i < 100 && records.isEmpty(); i++) {
        System.gc();
        Thread.sleep(20);
      }
      assertThat(records)
          .singleElement()
          .satisfies(
              record -> {
                assertThat(record.getLevel()).isEqualTo(Level.WARNING);
                assertThat(record.getMessage())
                    .isEqualTo(
                        "leak: 4243 bytes were never closed"
                            + " (-Dlightning4j.leaks=trace tells where from)");
                assertThat(record.getThrown()).isNull();
              });
    } finally {
      logger.removeHandler(capture);
      logger.setUseParentHandlers(true);
    }
  }

  private static void leak(long bytes) {
    assertThat(Memory.allocate(bytes).bytes()).isEqualTo(bytes);
  }

  @Test
  void tellsWhereALeakComesFromWhenAsked() {
    ChildJvm.Result result =
        new ChildJvm().with("lightning4j.leaks", "trace").run(MemoryTest.class);
    assertThat(result.status()).as(result.output()).isZero();
    assertThat(result.output())
        .contains("leak: 4244 bytes were never closed")
        .contains("allocated here")
        .contains(MemoryTest.class.getName() + ".leak(")
        .doesNotContain("-Dlightning4j.leaks");
  }

  /** Leaks, in a child. */
  public static void main(String[] arguments) throws InterruptedException {
    leak(4244);
    for (int i = 0; i < 10; i++) {
      System.gc();
      Thread.sleep(20);
    }
  }

  private static final class Capture extends Handler {
    private final List<LogRecord> records;

    Capture(List<LogRecord> records) {
      this.records = records;
    }

    @Override
    public void publish(LogRecord record) {
      records.add(record);
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
  }
}

package io.github.lightning4j.core.cuda.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.cuda.kernel.KernelException;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class CubinCacheTest {
  @TempDir Path temporary;

  private final AtomicInteger compilations = new AtomicInteger();
  private String version = "13.1";

  /** What it makes tells what it was made of, and is large enough for torn writes to show. */
  private final KernelCompiler compiler =
      new KernelCompiler() {
        @Override
        public String version() {
          return version;
        }

        @Override
        public byte[] compile(KernelSource source, String architecture) {
          compilations.incrementAndGet();
          return (source + " for " + architecture + " ")
              .repeat(10_000)
              .getBytes(StandardCharsets.UTF_8);
        }
      };

  private static KernelSource source(String text) {
    return new KernelSource("a.cu", text, new TreeMap<>(), new TreeMap<>());
  }

  private CubinCache cache() {
    return new CubinCache(temporary.resolve("deep").resolve("cubin"), compiler);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> all = Files.list(temporary.resolve("deep").resolve("cubin"))) {
      return all.toList();
    }
  }

  @Test
  void compilesOnceAProcessOrSeveral() throws IOException {
    byte[] first = cache().get(source("x"), "sm_80");
    assertThat(cache().get(source("x"), "sm_80")).isEqualTo(first);
    assertThat(compilations).hasValue(1);
    assertThat(files()).hasSize(1);
  }

  @Test
  void tellsApartAllThatTheResultDependsOn() {
    CubinCache cache = cache();
    cache.get(source("x"), "sm_80");
    cache.get(source("y"), "sm_80");
    cache.get(source("x"), "sm_90a");
    cache.get(source("x").define("N", 1), "sm_80");
    cache.get(source("x").define("N", 2), "sm_80");
    cache.get(new KernelSource("b.cu", "x", new TreeMap<>(), new TreeMap<>()), "sm_80");
    TreeMap<String, String> headers = new TreeMap<>(Map.of("h", "1"));
    cache.get(new KernelSource("a.cu", "x", headers, new TreeMap<>()), "sm_80");
    headers.put("h", "2");
    cache.get(new KernelSource("a.cu", "x", headers, new TreeMap<>()), "sm_80");
    version = "13.2";
    cache.get(source("x"), "sm_80");
    assertThat(compilations).hasValue(9);
  }

  @Test
  void makesAgainWhatWasChangedCutOrEmptied() throws IOException {
    byte[] made = cache().get(source("x"), "sm_80");
    Path file = files().get(0);
    byte[] good = Files.readAllBytes(file);
    byte[] changed = good.clone();
    changed[good.length / 2] ^= 1;
    byte[] wrongHash = good.clone();
    wrongHash[0] ^= 1;
    List<byte[]> poisons =
        List.of(changed, wrongHash, Arrays.copyOf(good, 1000), new byte[0], new byte[32]);
    for (byte[] poison : poisons) {
      Files.write(file, poison);
      assertThat(cache().get(source("x"), "sm_80")).isEqualTo(made);
      assertThat(Files.readAllBytes(file)).isEqualTo(good);
    }
    assertThat(compilations).hasValue(1 + poisons.size());
  }

  @Test
  void worksWithOneWarningWhereTheFolderCannotBeWritten() throws IOException {
    // A file where the folder should be: nobody can write there, not even root.
    Path file = Files.createFile(temporary.resolve("file"));
    CubinCache cache = new CubinCache(file, compiler);
    List<String> warnings = new ArrayList<>();
    Handler handler =
        new Handler() {
          @Override
          public void publish(LogRecord entry) {
            if (entry.getLevel() == Level.WARNING) {
              warnings.add(entry.getMessage());
            }
          }

          @Override
          public void flush() {}

          @Override
          public void close() {}
        };
    Logger logger = Logger.getLogger(CubinCache.class.getName());
    logger.addHandler(handler);
    try {
      assertThat(cache.get(source("x"), "sm_80")).isNotEmpty();
      assertThat(cache.get(source("x"), "sm_80")).isNotEmpty();
    } finally {
      logger.removeHandler(handler);
    }
    assertThat(compilations).hasValue(2);
    assertThat(warnings).hasSize(1);
    assertThat(warnings.get(0))
        .startsWith("compiled CUDA kernels cannot be kept in " + file)
        .contains("-Dlightning4j.cuda.cache");
  }

  @Test
  void keepsNothingOfACompilationThatFails() {
    KernelCompiler broken =
        new KernelCompiler() {
          @Override
          public String version() {
            return "1";
          }

          @Override
          public byte[] compile(KernelSource source, String architecture) {
            throw new KernelException("no");
          }
        };
    assertThatThrownBy(() -> new CubinCache(temporary, broken).get(source("x"), "sm_80"))
        .isInstanceOf(KernelException.class);
    assertThat(temporary).isEmptyDirectory();
  }

  @Test
  void readersSeeWholeFilesWhileOthersWrite() throws Exception {
    byte[] expected = compiler.compile(source("x"), "sm_80");
    CountDownLatch start = new CountDownLatch(1);
    List<Throwable> faults = Collections.synchronizedList(new ArrayList<>());
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      threads.add(
          new Thread(
              () -> {
                try {
                  start.await();
                  for (int round = 0; round < 50; round++) {
                    assertThat(cache().get(source("x"), "sm_80")).isEqualTo(expected);
                    for (Path file : files()) {
                      if (file.toString().endsWith(".cubin")) {
                        Files.deleteIfExists(file);
                      }
                    }
                  }
                } catch (Throwable e) {
                  faults.add(e);
                }
              }));
    }
    threads.forEach(Thread::start);
    start.countDown();
    for (Thread thread : threads) {
      thread.join();
    }
    assertThat(faults).isEmpty();
    assertThat(files())
        .as("nothing half written stays")
        .noneMatch(f -> f.toString().endsWith(".tmp"));
  }

  @Test
  void findsTheFolderAsUsersExpect() {
    assertThat(CubinCache.folder(Map.of(), null, "/home/a"))
        .isEqualTo(Path.of("/home/a/.cache/lightning4j/cubin"));
    assertThat(CubinCache.folder(Map.of("XDG_CACHE_HOME", "/x"), null, "/home/a"))
        .isEqualTo(Path.of("/x/lightning4j/cubin"));
    assertThat(CubinCache.folder(Map.of("XDG_CACHE_HOME", "/x"), "/mine", "/home/a"))
        .isEqualTo(Path.of("/mine"));
  }
}

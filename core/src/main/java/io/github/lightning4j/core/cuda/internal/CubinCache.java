package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.cuda.kernel.KernelSource;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * Machine code on disk. A file is named by the hash of all that made it, and holds the hash of its
 * content before the content; one that does not hold what it says is made again. Writers put the
 * whole file beside its place and move it there in one step, so readers and other processes see all
 * of it or nothing.
 */
public final class CubinCache {
  /** The system property that names the folder. */
  public static final String PROPERTY = "lightning4j.cuda.cache";

  private static final int HASH_BYTES = 32;

  private final Path folder;
  private final KernelCompiler compiler;
  private final AtomicBoolean warned = new AtomicBoolean();

  /**
   * A cache.
   *
   * @param folder where files are; made when the first is written
   * @param compiler makes what is not there
   */
  public CubinCache(Path folder, KernelCompiler compiler) {
    this.folder = folder;
    this.compiler = compiler;
  }

  /** That of this process, before NVRTC. */
  public static CubinCache shared() {
    return Holder.SHARED;
  }

  static Path folder(Map<String, String> environment, @Nullable String property, String home) {
    if (property != null) {
      return Path.of(property);
    }
    String caches = environment.get("XDG_CACHE_HOME");
    Path base = caches == null || caches.isEmpty() ? Path.of(home, ".cache") : Path.of(caches);
    return base.resolve("lightning4j").resolve("cubin");
  }

  /** The machine code of a source, from disk or else compiled and put there. */
  public byte[] get(KernelSource source, String architecture) {
    Path file = folder.resolve(key(source, architecture) + ".cubin");
    byte[] known = read(file);
    if (known != null) {
      return known;
    }
    byte[] made = compiler.compile(source, architecture);
    write(file, made);
    return made;
  }

  private static byte @Nullable [] read(Path file) {
    try {
      byte[] all = Files.readAllBytes(file);
      if (all.length > HASH_BYTES) {
        byte[] content = Arrays.copyOfRange(all, HASH_BYTES, all.length);
        if (Arrays.equals(sha256().digest(content), Arrays.copyOf(all, HASH_BYTES))) {
          return content;
        }
      }
      log(Level.INFO, file + " does not hold what was written there; it is made again");
      return null;
    } catch (NoSuchFileException e) {
      return null;
    } catch (IOException e) {
      log(Level.DEBUG, file + " cannot be read (" + e + "); it is made again");
      return null;
    }
  }

  private void write(Path file, byte[] content) {
    Path beside = null;
    try {
      Files.createDirectories(folder);
      beside = Files.createTempFile(folder, "new-", ".tmp");
      try (OutputStream to = Files.newOutputStream(beside)) {
        to.write(sha256().digest(content));
        to.write(content);
      }
      Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      if (warned.compareAndSet(false, true)) {
        log(
            Level.WARNING,
            "compiled CUDA kernels cannot be kept in "
                + folder
                + " ("
                + e
                + "), so each process compiles them again; let -D"
                + PROPERTY
                + " name a folder that can be written");
      }
      discard(beside);
    }
  }

  private static void discard(@Nullable Path file) {
    try {
      if (file != null) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      log(Level.DEBUG, file + " stays: " + e);
    }
  }

  /** A hash of all that the machine code depends on; lengths keep neighbours apart. */
  private String key(KernelSource source, String architecture) {
    MessageDigest digest = sha256();
    try (DataOutputStream to =
        new DataOutputStream(new DigestOutputStream(OutputStream.nullOutputStream(), digest))) {
      add(to, compiler.version());
      add(to, architecture);
      add(to, source.name());
      add(to, source.text());
      for (Map<String, String> part : List.of(source.headers(), source.constants())) {
        to.writeInt(part.size());
        for (Map.Entry<String, String> entry : part.entrySet()) {
          add(to, entry.getKey());
          add(to, entry.getValue());
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static void add(DataOutputStream to, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    to.writeInt(bytes.length);
    to.write(bytes);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java has SHA-256", e);
    }
  }

  private static void log(Level level, String message) {
    System.getLogger(CubinCache.class.getName()).log(level, message);
  }

  private static final class Holder {
    static final CubinCache SHARED =
        new CubinCache(
            folder(System.getenv(), System.getProperty(PROPERTY), System.getProperty("user.home")),
            new Nvrtc());
  }
}

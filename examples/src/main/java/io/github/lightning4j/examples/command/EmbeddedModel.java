package io.github.lightning4j.examples.command;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URI;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;

/**
 * The model that comes with the command, as a folder of files.
 *
 * <p>Weights are mapped, and a file inside a jar cannot be. So the first start copies the model out
 * of the jar into the user's cache, under a name that tells its content; later starts find it there
 * and only compare sizes. The folder appears whole, by a rename, whoever else starts meanwhile.
 */
final class EmbeddedModel {
  /** Where the files lie on the class path. */
  static final String RESOURCES = "io/github/lightning4j/examples/minimax-nano/";

  /** The files a model needs. */
  static final List<String> FILES =
      List.of("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors");

  private final ClassLoader loader;
  private final Path cache;
  private final PrintWriter err;

  /**
   * The model of a class path.
   *
   * @param cache where it is copied to
   * @param err told when the cache cannot be used
   */
  EmbeddedModel(ClassLoader loader, Path cache, PrintWriter err) {
    this.loader = loader;
    this.cache = cache;
    this.err = err;
  }

  /** The model of this program, in the user's cache. */
  static EmbeddedModel ofThisProgram(PrintWriter err) {
    return new EmbeddedModel(EmbeddedModel.class.getClassLoader(), userCache(), err);
  }

  /** {@code lightning4j} in {@code XDG_CACHE_HOME} or {@code ~/.cache}. */
  static Path userCache() {
    String xdg = System.getenv("XDG_CACHE_HOME");
    Path root =
        xdg == null || xdg.isEmpty()
            ? Path.of(System.getProperty("user.home"), ".cache")
            : Path.of(xdg);
    return root.resolve("lightning4j");
  }

  /**
   * The folder with the model's files.
   *
   * @throws IllegalStateException if this program was built without the model
   */
  Path folder() {
    try {
      URL first = resource(FILES.get(0));
      if (first.getProtocol().equals("file")) {
        return Path.of(URI.create(first.toString())).getParent();
      }
      return cached();
    } catch (IOException e) {
      throw new UncheckedIOException("the embedded model cannot be read (" + e + ")", e);
    }
  }

  private Path cached() throws IOException {
    Map<String, ZipEntry> entries = entries();
    Path folder = cache.resolve("minimax-nano-" + fingerprint(entries));
    if (isWhole(folder, entries)) {
      return folder;
    }
    Path copy;
    try {
      Files.createDirectories(cache);
      copy = extract(Files.createTempDirectory(cache, ".minimax-nano-"));
    } catch (IOException e) {
      return temporary(e);
    }
    return publish(copy, folder, entries);
  }

  /** Gives a copy its name, unless somebody else has done so meanwhile. */
  private static Path publish(Path copy, Path folder, Map<String, ZipEntry> entries)
      throws IOException {
    try {
      if (Files.exists(folder) && !isWhole(folder, entries)) {
        delete(folder);
      }
      Files.move(copy, folder, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      delete(copy);
      if (!isWhole(folder, entries)) {
        throw e;
      }
    }
    return folder;
  }

  private Path temporary(IOException fault) throws IOException {
    Path folder = Files.createTempDirectory("minimax-nano-");
    folder.toFile().deleteOnExit();
    FILES.forEach(name -> folder.resolve(name).toFile().deleteOnExit());
    err.println("minimax: " + cache + " cannot be written (" + fault + "); using " + folder);
    return extract(folder);
  }

  private Path extract(Path folder) throws IOException {
    try {
      for (String name : FILES) {
        try (InputStream in = resource(name).openStream()) {
          Files.copy(in, folder.resolve(name));
        }
      }
      return folder;
    } catch (IOException e) {
      delete(folder);
      throw e;
    }
  }

  private Map<String, ZipEntry> entries() throws IOException {
    Map<String, ZipEntry> entries = new LinkedHashMap<>();
    for (String name : FILES) {
      JarURLConnection connection = (JarURLConnection) resource(name).openConnection();
      entries.put(name, connection.getJarEntry());
    }
    return entries;
  }

  /** Tells the content of all files by the checksums that the jar holds. */
  private static String fingerprint(Map<String, ZipEntry> entries) {
    CRC32 all = new CRC32();
    entries.values().forEach(entry -> all.update(Long.toHexString(entry.getCrc()).getBytes()));
    return Long.toHexString(all.getValue());
  }

  private static boolean isWhole(Path folder, Map<String, ZipEntry> entries) throws IOException {
    for (Map.Entry<String, ZipEntry> entry : entries.entrySet()) {
      Path file = folder.resolve(entry.getKey());
      if (!Files.exists(file) || Files.size(file) != entry.getValue().getSize()) {
        return false;
      }
    }
    return true;
  }

  private static void delete(Path folder) throws IOException {
    for (String name : FILES) {
      Files.deleteIfExists(folder.resolve(name));
    }
    Files.deleteIfExists(folder);
  }

  private URL resource(String name) {
    URL url = loader.getResource(RESOURCES + name);
    if (url == null) {
      throw new IllegalStateException("this program was built without its model: no " + name);
    }
    return url;
  }
}

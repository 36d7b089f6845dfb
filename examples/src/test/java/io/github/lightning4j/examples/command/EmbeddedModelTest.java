package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How the model leaves the jar. */
final class EmbeddedModelTest {
  @TempDir private Path temp;

  private final StringWriter err = new StringWriter();
  private URLClassLoader jar = new URLClassLoader(new URL[0]);

  @BeforeEach
  void openJar() throws IOException {
    jar = jar("one");
  }

  @AfterEach
  void closeJar() throws IOException {
    jar.close();
  }

  @Test
  void isCopiedOnceAndFoundAgain() throws IOException {
    Path first = model(jar, cache()).folder();
    assertThat(first).hasParent(cache());
    assertThat(content(first)).containsExactlyElementsOf(contentOf("one"));
    Files.writeString(first.resolve("mark"), "");
    assertThat(model(jar, cache()).folder()).isEqualTo(first);
    assertThat(first.resolve("mark")).exists();
    assertThat(err.toString()).isEmpty();
  }

  @Test
  void anotherModelHasAnotherFolder() throws IOException {
    Path first = model(jar, cache()).folder();
    try (URLClassLoader other = jar("two")) {
      Path second = model(other, cache()).folder();
      assertThat(second).isNotEqualTo(first);
      assertThat(content(second)).containsExactlyElementsOf(contentOf("two"));
    }
  }

  @Test
  void damagedCopyIsReplaced() throws IOException {
    Path folder = model(jar, cache()).folder();
    Files.writeString(folder.resolve("model.safetensors"), "cut");
    assertThat(model(jar, cache()).folder()).isEqualTo(folder);
    assertThat(content(folder)).containsExactlyElementsOf(contentOf("one"));
    Files.delete(folder.resolve("config.json"));
    assertThat(content(model(jar, cache()).folder())).containsExactlyElementsOf(contentOf("one"));
  }

  @Test
  void manyMayStartAtOnce() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try {
      List<Future<Path>> folders = new ArrayList<>();
      for (int i = 0; i < 32; i++) {
        folders.add(threads.submit(() -> model(jar, cache()).folder()));
      }
      for (Future<Path> folder : folders) {
        assertThat(content(folder.get())).containsExactlyElementsOf(contentOf("one"));
      }
    } finally {
      threads.shutdown();
    }
    try (Stream<Path> left = Files.list(cache())) {
      assertThat(left).hasSize(1);
    }
  }

  @Test
  void withoutACacheATemporaryFolderServes() throws IOException {
    Path file = Files.writeString(temp.resolve("file"), "");
    Path folder = model(jar, file.resolve("cache")).folder();
    assertThat(content(folder)).containsExactlyElementsOf(contentOf("one"));
    assertThat(err.toString().lines())
        .singleElement()
        .asString()
        .contains("cannot be written")
        .contains(folder.toString());
  }

  private Path cache() {
    return temp.resolve("cache/lightning4j");
  }

  private EmbeddedModel model(ClassLoader loader, Path cache) {
    return new EmbeddedModel(loader, cache, new PrintWriter(err, true));
  }

  private static List<String> content(Path folder) throws IOException {
    List<String> content = new ArrayList<>();
    for (String name : EmbeddedModel.FILES) {
      content.add(Files.readString(folder.resolve(name)));
    }
    return content;
  }

  private static List<String> contentOf(String model) {
    return EmbeddedModel.FILES.stream().map(name -> model + " " + name).toList();
  }

  private URLClassLoader jar(String model) throws IOException {
    Path file = temp.resolve(model + ".jar");
    try (OutputStream out = Files.newOutputStream(file);
        JarOutputStream entries = new JarOutputStream(out)) {
      for (int i = 0; i < EmbeddedModel.FILES.size(); i++) {
        entries.putNextEntry(new JarEntry(EmbeddedModel.RESOURCES + EmbeddedModel.FILES.get(i)));
        entries.write(contentOf(model).get(i).getBytes());
      }
    }
    // No parent: the model of this program must not be found first.
    return new URLClassLoader(new URL[] {file.toUri().toURL()}, null);
  }
}

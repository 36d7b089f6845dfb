package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.testkit.ChildJvm;
import java.io.IOException;
import java.lang.reflect.Modifier;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Every public class loads and initializes where no native library can. */
final class PublicClassesTest {
  private static List<String> names() throws IOException, URISyntaxException {
    Path root = Path.of(Tensor.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    try (Stream<Path> files = Files.walk(root)) {
      return files
          .map(file -> root.relativize(file).toString())
          .filter(name -> name.endsWith(".class") && !name.contains("package-info"))
          .map(name -> name.substring(0, name.length() - 6).replace('/', '.'))
          .filter(name -> !name.contains(".internal."))
          .sorted()
          .toList();
    }
  }

  private static void assertAllLoad(ChildJvm child) {
    ChildJvm.Result result = child.run(PublicClassesTest.class);
    assertThat(result.status()).as(result.output()).isZero();
    assertThat(result.output())
        .contains("io.github.lightning4j.core.Tensor\n")
        .contains("io.github.lightning4j.core.nn.RowOperators\n")
        .contains("io.github.lightning4j.core.safetensors.SafetensorsFile\n")
        .contains("Cuda: false");
  }

  @Test
  void loadWithoutAnyNativeLibraryOnTheClassPath() {
    assertAllLoad(new ChildJvm().without("linux-x86_64").without("/native"));
  }

  @Test
  void loadWhereTheReferenceIsForced() {
    assertAllLoad(new ChildJvm().with("lightning4j.reference", "true"));
  }

  @Test
  void loadWithoutOptionalDependencies() {
    assertAllLoad(
        new ChildJvm()
            .without("bytedeco/cuda/")
            .without("bytedeco/dnnl/")
            .without("bytedeco/opencl/"));
  }

  /** Loads all, in a child. */
  public static void main(String[] arguments) throws Exception {
    for (String name : names()) {
      Class<?> loaded = Class.forName(name);
      if (Modifier.isPublic(loaded.getModifiers())) {
        System.out.println(name);
        // What a framework's reflection would touch.
        loaded.getMethods();
      }
    }
    System.out.println("Cuda: " + Cuda.availability().isAvailable());
  }
}

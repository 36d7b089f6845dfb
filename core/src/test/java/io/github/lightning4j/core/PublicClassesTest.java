package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.testkit.ChildJvm;
import io.github.lightning4j.core.testkit.PublicClasses;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Every public class loads and initializes where no native library can. */
final class PublicClassesTest {
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
    PublicClasses.load(
        Path.of(Tensor.class.getProtectionDomain().getCodeSource().getLocation().toURI()));
    System.out.println("Cuda: " + Cuda.availability().isAvailable());
  }
}

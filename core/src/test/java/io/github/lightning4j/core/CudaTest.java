package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.testkit.ChildJvm;
import org.junit.jupiter.api.Test;

final class CudaTest {
  @Test
  void tellsWhatItFoundOrWhatIsMissing() {
    Availability availability = Cuda.availability();
    assertThat(Cuda.availability()).isSameAs(availability);
    if (availability.isAvailable()) {
      assertThat(availability.reason()).matches("\\d+ CUDA device\\(s\\): .* \\(sm_\\d+\\).*");
      assertThat(availability.fix()).isEmpty();
    } else {
      assertThat(availability.reason()).containsPattern("libcuda.so.1|libcudart.so.13|CUDA driver");
      assertThat(availability.fix()).isNotEmpty();
      assertThatThrownBy(() -> availability.ensure("Cuda"))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "Cuda is not available: " + availability.reason() + "; " + availability.fix());
    }
  }

  @Test
  void namesTheDependencyThatIsMissing() {
    assertThat(child(new ChildJvm().without("bytedeco/cuda/")))
        .isEqualTo(
            "org.bytedeco:cuda is not on the class path"
                + " | add org.bytedeco:cuda-platform:13.1-9.19-1.5.13 to it\n");
  }

  @Test
  void namesTheBindingsThatAreMissing() {
    assertThat(child(new ChildJvm().without("cuda-13.1-9.19-1.5.13-linux-x86_64")))
        .startsWith("the CUDA bindings did not load (")
        .endsWith(" | add org.bytedeco:cuda-platform:13.1-9.19-1.5.13 to the class path\n");
  }

  @Test
  void staysOutWhereTheReferenceIsForced() {
    assertThat(child(new ChildJvm().with("lightning4j.reference", "true")))
        .isEqualTo(
            "the system property lightning4j.reference forces the reference implementations"
                + " | remove it\n");
  }

  private static String child(ChildJvm jvm) {
    ChildJvm.Result result = jvm.run(CudaTest.class);
    assertThat(result.status()).as(result.output()).isZero();
    return result.output();
  }

  /** Asks, in a child. */
  public static void main(String[] arguments) {
    Availability availability = Cuda.availability();
    System.out.println(availability.reason() + " | " + availability.fix());
  }
}

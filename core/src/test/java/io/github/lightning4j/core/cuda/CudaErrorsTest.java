package io.github.lightning4j.core.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.testkit.ChildJvm;
import org.junit.jupiter.api.Test;

/** What is said where there is no CUDA. */
final class CudaErrorsTest {
  @Test
  void tellsWhatIsMissingAndHowToGetIt() {
    ChildJvm.Result result = new ChildJvm().without("bytedeco/cuda/").run(CudaErrorsTest.class);
    assertThat(result.output())
        .isEqualTo(
            "CUDA is not available: org.bytedeco:cuda is not on the class path; add"
                + " org.bytedeco:cuda-platform:13.1-9.19-1.5.13 to it\nfalse\n");
    assertThat(result.status()).isZero();
  }

  /** Asks for a device, in a child. */
  public static void main(String[] arguments) {
    try {
      System.out.println(CudaDevice.of(0));
    } catch (IllegalStateException e) {
      System.out.println(e.getMessage());
    }
    System.out.println(KernelModule.availability().isAvailable());
  }
}

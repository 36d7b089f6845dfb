package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Cuda;
import io.github.lightning4j.core.testkit.ChildJvm;
import org.junit.jupiter.api.Test;

/** What can be known of NCCL with or without a GPU: what is missing, by name, and the way out. */
final class NcclCommunicatorTest {
  @Test
  void tellsWhatItFoundOrWhatIsMissing() {
    Availability availability = NcclCommunicator.availability();
    assertThat(NcclCommunicator.availability()).isSameAs(availability);
    if (availability.isAvailable()) {
      assertThat(availability.reason()).matches("NCCL \\d+\\.\\d+\\.\\d+");
    } else if (Cuda.availability().isAvailable()) {
      assertThat(availability.reason()).contains("NCCL");
      assertThat(availability.fix()).isNotEmpty();
    } else {
      assertThat(availability).isEqualTo(Cuda.availability());
    }
  }

  @Test
  void needsNothingForAWorldOfOne() {
    assertThat(child(new ChildJvm().without("bytedeco/cuda/"), "world"))
        .contains("rank 0 of 1\n")
        .doesNotContain("Exception");
  }

  @Test
  void namesTheDependencyThatIsMissing() {
    assertThat(child(new ChildJvm().without("bytedeco/cuda/"), "ensure"))
        .contains(
            "IllegalStateException: NCCL is not available: org.bytedeco:cuda is not on the class"
                + " path; add org.bytedeco:cuda-platform:");
  }

  @Test
  void refusesANegativeDevice() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> NcclCommunicator.world(-1))
        .withMessage("device: expected >= 0, got -1");
  }

  @Test
  void isRefusedWhereItIsMissing() {
    Availability availability = NcclCommunicator.availability();
    if (!availability.isAvailable()) {
      assertThatThrownBy(() -> availability.ensure("NCCL"))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage(
              "NCCL is not available: " + availability.reason() + "; " + availability.fix());
    }
  }

  private static String child(ChildJvm jvm, String what) {
    return jvm.run(NcclCommunicatorTest.class, what).output();
  }

  /** Joins or asks, in a child. */
  public static void main(String[] arguments) {
    if (arguments[0].equals("ensure")) {
      try {
        NcclCommunicator.availability().ensure("NCCL");
      } catch (IllegalStateException e) {
        System.out.println(e);
      }
      return;
    }
    try (Communicator world = NcclCommunicator.world(0)) {
      System.out.println(world);
    }
  }
}

package io.github.lightning4j.core.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.nn.RowOperators;
import io.github.lightning4j.core.testkit.ChildJvm;
import org.junit.jupiter.api.Test;

/** How the native library is found, forced and refused; each case in a JVM of its own. */
final class NativeLibraryTest {
  private static void assumeLibrary() {
    assumeTrue(
        CoreKernels.library().availability().isAvailable(), CoreKernels.library().toString());
  }

  private static String child(ChildJvm jvm) {
    ChildJvm.Result result = jvm.run(NativeLibraryTest.class);
    assertThat(result.status()).as(result.output()).isZero();
    return result.output();
  }

  @Test
  void forcedReferenceComputesAndSaysWhy() {
    assertThat(child(new ChildJvm().with("lightning4j.reference", "true")))
        .contains("best: 11.0")
        .contains("preferred: REFERENCE")
        .contains("isa: null")
        .contains("features: []")
        .contains(
            "forced: java.lang.IllegalStateException: core on CPU is not available: the system"
                + " property lightning4j.reference forces the reference implementations; remove it");
  }

  @Test
  void withoutTheLibraryTheReferenceComputesAndTheLogSaysSo() {
    String output = child(new ChildJvm().without("/target/native").without("core-0"));
    assertThat(output)
        .contains("INFO: core: reference implementations, because no native library for ")
        .contains("best: 11.0")
        .contains("preferred: REFERENCE")
        .contains("add io.github.lightning4j:platform");
  }

  @Test
  void takesAForcedInstructionSet() {
    assumeLibrary();
    assertThat(child(new ChildJvm().with("lightning4j.cpu.isa", "avx2")))
        .contains("INFO: core: native kernels avx2 on ")
        .contains("best: 11.0")
        .contains("preferred: CPU")
        .contains("isa: avx2")
        .contains("forced: works");
  }

  @Test
  void refusesAnUnknownInstructionSetAtEveryUse() {
    assumeLibrary();
    assertThat(child(new ChildJvm().with("lightning4j.cpu.isa", "sse9")))
        .contains(
            "best: java.lang.IllegalStateException: core is not available: lightning4j.cpu.isa:"
                + " expected one of [avx2, avx512, avx512_vnni, amx], got sse9; correct or remove it")
        .contains("preferred: java.lang.IllegalStateException: core is not available")
        .contains("forced: java.lang.IllegalStateException: core on CPU is not available")
        .doesNotContain("NoClassDefFoundError");
  }

  @Test
  void refusesAnInstructionSetThatTheCpuLacks() {
    assumeLibrary();
    assumeFalse(CpuFeatures.detected().contains("avx512f"), "this CPU has AVX-512");
    assertThat(child(new ChildJvm().with("lightning4j.cpu.isa", "avx512")))
        .contains("lightning4j.cpu.isa: this CPU has avx2 at most, got avx512");
  }

  @Test
  void takesTheWeakerInstructionSetOnAMachineWithTiles() {
    assumeLibrary();
    assumeTrue(CoreKernels.library().isa() == Isa.AMX, "this CPU has no AMX");
    assertThat(child(new ChildJvm().with("lightning4j.cpu.isa", "avx512")))
        .contains("isa: avx512")
        .contains("forced: works");
  }

  @Test
  void detectsTheFeaturesOfItsInstructionSet() {
    assumeLibrary();
    assertThat(CpuFeatures.detected()).contains("avx2", "fma", "f16c").doesNotHaveDuplicates();
    assertThat(CoreKernels.library().isa()).isNotNull();
    boolean wide = CoreKernels.library().isa() != Isa.AVX2;
    assertThat(CpuFeatures.detected().contains("avx512f")).isEqualTo(wide);
    if (CoreKernels.library().isa() == Isa.AMX) {
      assertThat(CpuFeatures.detected()).contains("amx-tile", "amx-bf16");
    }
  }

  /** Tells what works, in a child. */
  public static void main(String[] arguments) {
    report("best", () -> product(Gemm.best()));
    report("preferred", () -> CoreKernels.library().preferred());
    report("isa", () -> CoreKernels.library().isa());
    report("features", CpuFeatures::detected);
    report(
        "forced",
        () -> {
          Gemm.of(Backend.CPU);
          RowOperators.of(Backend.CPU);
          return "works";
        });
  }

  private static void report(String what, java.util.function.Supplier<Object> call) {
    Object got;
    try {
      got = call.get();
    } catch (RuntimeException | LinkageError e) {
      got = e;
    }
    System.out.println(what + ": " + got);
  }

  /** (1, 2) times (3, 4). */
  private static double product(Gemm gemm) {
    try (Tensor a = Tensor.of(new float[] {1, 2}, 1, 2);
        Tensor w = Tensor.of(new float[] {3, 4}, 1, 2);
        Tensor out = Tensor.allocate(DType.F32, 1, 1)) {
      gemm.multiply(a, w, out);
      return out.accessor().get(0);
    }
  }
}

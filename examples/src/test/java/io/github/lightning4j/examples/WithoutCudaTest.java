package io.github.lightning4j.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Cuda;
import io.github.lightning4j.core.testkit.ChildJvm;
import io.github.lightning4j.core.testkit.PublicClasses;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Every public class of the suite loads and initializes where the CUDA bindings are missing. */
final class WithoutCudaTest {
  private static final List<String> MODULES =
      List.of(
          "core",
          "lightning-attention",
          "moe",
          "kv-quant",
          "vlm-quant",
          "cispo",
          "model-minimax",
          "examples");

  @Test
  void publicClassesLoad() {
    ChildJvm.Result result =
        new ChildJvm()
            .brief()
            .without("bytedeco/cuda/")
            .run(WithoutCudaTest.class, System.getProperty("lightning4j.repository"));
    assertThat(result.status()).as(result.output()).isZero();
    assertThat(result.output())
        .contains(
            "attention.CudaLightningAttention\n",
            "moe.CudaMixtureOfExperts\n",
            "moe.comm.CudaRankSum\n",
            "kvquant.CudaKvCache\n",
            "cispo.head.CudaFusedHead\n",
            "minimax.DeviceSlice\n",
            "examples.command.Minimax\n",
            "Cuda: false, bindings: false");
  }

  /** Loads all, in a child. */
  public static void main(String[] arguments) throws Exception {
    for (String module : MODULES) {
      PublicClasses.load(Path.of(arguments[0], module, "target/classes"));
    }
    System.out.println("Cuda: " + Cuda.availability().isAvailable() + ", bindings: " + bindings());
  }

  private static boolean bindings() {
    try {
      Class.forName(
          "org.bytedeco.cuda.global.cudart", false, WithoutCudaTest.class.getClassLoader());
      return true;
    } catch (ClassNotFoundException e) {
      return false;
    }
  }
}

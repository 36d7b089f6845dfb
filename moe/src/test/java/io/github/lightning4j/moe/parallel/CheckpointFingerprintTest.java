package io.github.lightning4j.moe.parallel;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.core.testkit.Cases;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which checkpoints count as different. */
final class CheckpointFingerprintTest {
  @TempDir private Path temp;
  private final MemoryScope scope = new MemoryScope();
  private int files;

  private String fingerprint(Map<String, Tensor> tensors) {
    Path file = temp.resolve("checkpoint-" + files++ + ".safetensors");
    SafetensorsWriter.write(file, tensors, Map.of());
    try (Safetensors weights = Safetensors.open(file)) {
      return CheckpointFingerprint.of(weights);
    }
  }

  /** A large tensor and a small one. */
  private Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("large", scope.add(Cases.normal(1, DType.BF16, 100, 70)));
    tensors.put("small", scope.add(Cases.normal(2, DType.F32, 3, 4)));
    return tensors;
  }

  @Test
  void differsWithEverySampleNameTypeAndShape() {
    try (scope) {
      String same = fingerprint(tensors());
      assertThat(same).matches("sha256:[0-9a-f]{64}");
      assertThat(fingerprint(tensors())).isEqualTo(same);
      for (long element : new long[] {0, 15, 465, 6984, 6999}) { // 465 begins the second run
        Map<String, Tensor> changed = tensors();
        changed.get("large").accessor().set(element, 100);
        assertThat(fingerprint(changed)).as("large, %s", element).isNotEqualTo(same);
      }
      for (long element = 0; element < 12; element++) {
        Map<String, Tensor> changed = tensors();
        changed.get("small").accessor().set(element, 100);
        assertThat(fingerprint(changed)).as("small, %s", element).isNotEqualTo(same);
      }
      Map<String, Tensor> renamed = tensors();
      renamed.put("smaller", renamed.remove("small"));
      assertThat(fingerprint(renamed)).isNotEqualTo(same);
      Map<String, Tensor> shaped = tensors();
      shaped.put("small", shaped.get("small").reshape(4, 3));
      assertThat(fingerprint(shaped)).isNotEqualTo(same);
      Map<String, Tensor> typed = tensors();
      typed.put("small", scope.add(Tensor.of(typed.get("small").toDoubles(), 3, 4)));
      assertThat(fingerprint(typed)).isNotEqualTo(same);
    }
  }

  @Test
  void doesNotDependOnTheOrderOfTensors() {
    try (scope) {
      Map<String, Tensor> swapped = tensors();
      swapped.put("large", swapped.remove("large"));
      assertThat(swapped.keySet()).containsExactly("small", "large");
      assertThat(fingerprint(swapped)).isEqualTo(fingerprint(tensors()));
    }
  }
}

package io.github.lightning4j.kvquant.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import org.junit.jupiter.api.Test;

/** What {@link KeyMean} must do, whichever kernels it runs. */
abstract class KeyMeanContract {
  abstract Backend backend();

  @Test
  void subtractsAndAddsTheMean() {
    for (int width : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor mean = scope.add(Cases.normal(width, DType.F32, width));
        KeyMean keyMean = scope.add(KeyMean.of(mean.toFloats(), backend()));
        Tensor k = scope.add(Cases.normal(1, DType.F32, 5, width + 2)).narrow(1, 1, width);
        float[] before = k.toFloats();
        Tensor centred = scope.allocate(DType.F32, 5, width);
        keyMean.subtract(k, centred);
        for (int i = 0; i < before.length; i++) {
          float expected = before[i] - mean.toFloats()[i % width];
          assertThat(centred.toFloats()[i]).isCloseTo(expected, within(1e-6f));
        }
        keyMean.add(centred, centred);
        assertThat(centred.toFloats()).containsExactly(before, within(1e-6f));
      }
    }
  }
}

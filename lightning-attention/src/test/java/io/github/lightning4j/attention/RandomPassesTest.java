package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whatever is asked for at once, on any number of threads, the kernels agree with the reference.
 */
final class RandomPassesTest {
  private static final double LIMIT = 1e-10;

  private final int before = Threads.count();

  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
  }

  @AfterEach
  void restore() {
    Threads.use(before);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void forward(boolean isLong) {
    for (int seed = 0; seed < (isLong ? 8 : 40); seed++) {
      try (RandomPass pass = new RandomPass(seed, isLong)) {
        Threads.use(1 + pass.random.nextInt(16));
        List<Tensor> expected = pass.forward(Backend.REFERENCE, true);
        List<Tensor> actual = pass.forward(Backend.CPU, false);
        assertClose("seed " + seed + " of " + pass, actual, expected, pass.typical());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void backward(boolean isLong) {
    for (int seed = 100; seed < (isLong ? 105 : 130); seed++) {
      try (RandomPass pass = new RandomPass(seed, isLong)) {
        Threads.use(1 + pass.random.nextInt(16));
        List<Tensor> expected = pass.backward(Backend.REFERENCE, true);
        List<Tensor> actual = pass.backward(Backend.CPU, false);
        assertClose("seed " + seed + " of " + pass, actual, expected, 0.01);
      }
    }
  }

  private static void assertClose(
      String what, List<Tensor> actual, List<Tensor> expected, double typical) {
    for (int i = 0; i < actual.size(); i++) {
      double[] truth = expected.get(i).toDoubles();
      double least = i == 0 ? typical : 0.01;
      Rounded.assertClose(what + " result " + i, actual.get(i), truth, LIMIT, least);
    }
  }
}

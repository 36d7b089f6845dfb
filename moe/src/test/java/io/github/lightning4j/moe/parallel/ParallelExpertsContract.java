package io.github.lightning4j.moe.parallel;

import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every scenario on 2, 4 and 8 ranks. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class ParallelExpertsContract {
  /** Runs a scenario on all ranks, or shows that it was run well. */
  abstract void run(int size, ParallelScenario scenario);

  static Stream<Arguments> cases() {
    return IntStream.of(2, 4, 8)
        .boxed()
        .flatMap(size -> Arrays.stream(ParallelScenario.values()).map(s -> Arguments.of(size, s)));
  }

  @ParameterizedTest(name = "{1} on {0} ranks")
  @MethodSource("cases")
  void scenario(int size, ParallelScenario scenario) {
    run(size, scenario);
  }
}

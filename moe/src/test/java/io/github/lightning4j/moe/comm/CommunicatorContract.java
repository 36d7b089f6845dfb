package io.github.lightning4j.moe.comm;

import java.util.Arrays;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every scenario on every size of world. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class CommunicatorContract {
  /** The sizes of world to try. */
  abstract IntStream sizes();

  /** Runs a scenario on all ranks, or shows that it was run well. */
  abstract void run(int size, Scenario scenario) throws Exception;

  Stream<Arguments> cases() {
    return sizes()
        .boxed()
        .flatMap(size -> Arrays.stream(Scenario.values()).map(s -> Arguments.of(size, s)));
  }

  @ParameterizedTest(name = "{1} with {0} ranks")
  @MethodSource("cases")
  void scenario(int size, Scenario scenario) throws Exception {
    run(size, scenario);
  }
}

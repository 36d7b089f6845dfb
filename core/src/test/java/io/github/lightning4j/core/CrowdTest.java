package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.testkit.ChildJvm;
import org.junit.jupiter.api.Test;

/** More threads than processors. */
final class CrowdTest {
  private static final String WARNING = "threads: %s on %s processors";

  /** Goes from one crowd to a larger one, with some work after each. */
  static final class Crowds {
    private Crowds() {}

    /** Runs as a process of its own, since a warning comes once a process. */
    public static void main(String[] args) {
      for (String threads : args) {
        Threads.use(Integer.parseInt(threads));
        long[] sums = new long[1000];
        Threads.forRanges(1000, 1, (from, to) -> sums[(int) from] = to - from);
        long sum = 0;
        for (long each : sums) {
          sum += each;
        }
        System.out.println("sum " + sum);
      }
    }
  }

  private static int processors() {
    return Runtime.getRuntime().availableProcessors();
  }

  private static String warning(int threads) {
    return WARNING.formatted(threads, processors());
  }

  @Test
  void worksAndWarnsOnce() {
    int first = processors() + 1;
    int second = 4 * processors();
    ChildJvm.Result result =
        new ChildJvm()
            .run(
                Crowds.class,
                String.valueOf(processors()),
                String.valueOf(first),
                String.valueOf(second));
    assertThat(result.status()).as(result.output()).isZero();
    assertThat(result.output()).containsOnlyOnce(" processors:").contains(warning(first));
    assertThat(result.output().split("sum 1000", -1)).hasSize(4);
  }

  @Test
  void aPropertyThatAsksForTooManyIsToldToo() {
    int threads = 3 * processors();
    ChildJvm.Result result =
        new ChildJvm()
            .with("lightning4j.threads", String.valueOf(threads))
            .run(Crowds.class, String.valueOf(threads));
    assertThat(result.output()).containsOnlyOnce(warning(threads)).contains("sum 1000");
  }

  @Test
  void asManyThreadsAsProcessorsAreNoCrowd() {
    ChildJvm.Result result = new ChildJvm().run(Crowds.class, String.valueOf(processors()));
    assertThat(result.output()).contains("sum 1000").doesNotContain("processors:");
  }
}

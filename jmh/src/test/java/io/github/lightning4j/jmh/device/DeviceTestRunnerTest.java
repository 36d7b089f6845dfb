package io.github.lightning4j.jmh.device;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.cuda.CudaDeviceLostException;
import io.github.lightning4j.jmh.device.TestRecord.State;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What runs tests where there is no Maven: what it writes down, and how it goes on. */
final class DeviceTestRunnerTest {
  @TempDir private Path temp;

  /** What a process that ends does to a run. */
  private static final class Ended extends Error {
    private static final long serialVersionUID = 1;
  }

  @TestMethodOrder(MethodOrderer.MethodName.class)
  static final class Losing {
    @Test
    void a() {}

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3})
    void b(int value) {
      if (value == 2) {
        throw new AssertionError("of 2", new CudaDeviceLostException(700, "illegal address"));
      }
    }

    @Test
    void c() {}
  }

  static final class Passing {
    @Test
    void a() {}
  }

  static final class Skipped {
    @Test
    void a() {
      Assumptions.abort("no GPU");
    }
  }

  private Path file() {
    return temp.resolve("tests.jsonl");
  }

  private List<String> summary(String... classes) throws Exception {
    return TestSummary.of(TestRecord.read(file()), List.of(classes)).lines();
  }

  private boolean good(String... classes) throws Exception {
    return TestSummary.of(TestRecord.read(file()), List.of(classes)).isGood();
  }

  @Test
  void goesOnBehindTheMethodThatLostTheGpu() throws Exception {
    boolean[] lost = {false};
    try {
      DeviceTestRunner.run(
          file(),
          Losing.class,
          () -> {
            lost[0] = true;
            throw new Ended();
          });
    } catch (Ended e) {
      // As a process that ends here: some launchers pass errors of listeners on, some do not.
    }
    assertThat(lost[0]).isTrue();
    List<TestRecord> first = TestRecord.read(file());
    assertThat(first).extracting(TestRecord::state).contains(State.PASSED, State.FAILED);
    String c = Losing.class.getName() + ".c";
    List<TestRecord> until = first.stream().takeWhile(r -> r.state() != State.FAILED).toList();
    assertThat(until).extracting(TestRecord::method).doesNotContain(c);

    Path again = temp.resolve("again.jsonl");
    for (TestRecord record : first.subList(0, until.size() + 1)) {
      record.appendTo(again);
    }
    assertThat(DeviceTestRunner.run(again, Losing.class, () -> {})).isZero();
    assertThat(TestRecord.read(again).stream().skip(until.size() + 1))
        .extracting(TestRecord::method)
        .containsOnly(c);
    assertThat(TestSummary.of(TestRecord.read(again), List.of(Losing.class.getName())).lines())
        .anyMatch(line -> line.contains("Losing: 3 passed, 2 failed, 0 skipped"))
        .anyMatch(line -> line.contains("[2] ") && line.contains("of 2"))
        .anyMatch(line -> line.contains("the process ended in the middle of it"));
  }

  @Test
  void allThatPassesIsGood() throws Exception {
    assertThat(DeviceTestRunner.run(file(), Passing.class, () -> {})).isZero();
    assertThat(summary(Passing.class.getName()).get(0))
        .contains("Passing: 1 passed, 0 failed, 0 skipped");
    assertThat(good(Passing.class.getName())).isTrue();
  }

  @Test
  void whatIsSkippedOrNotRunIsNotGood() throws Exception {
    assertThat(DeviceTestRunner.run(file(), Skipped.class, () -> {}))
        .isEqualTo(DeviceTestRunner.NOTHING_RUN);
    assertThat(summary(Skipped.class.getName())).anyMatch(line -> line.contains("no GPU"));
    assertThat(good(Skipped.class.getName())).isFalse();
    DeviceTestRunner.run(file(), Passing.class, () -> {});
    assertThat(good(Passing.class.getName(), "some.OtherDeviceTest")).isFalse();
    assertThat(summary("some.OtherDeviceTest").get(0))
        .startsWith("OtherDeviceTest: 0 passed, 0 failed, 0 skipped");
  }
}

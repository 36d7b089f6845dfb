package io.github.lightning4j.jmh.device;

import io.github.lightning4j.jmh.device.TestRecord.State;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What came of all tests: a line for each class, and one for each call that did not pass. */
final class TestSummary {
  private final Map<String, int[]> counts = new LinkedHashMap<>();
  private final Map<String, Long> times = new LinkedHashMap<>();
  private final List<String> faults = new ArrayList<>();

  private final Collection<String> classes;

  private TestSummary(Collection<String> classes) {
    this.classes = classes;
    classes.forEach(name -> counts.put(name, new int[State.values().length]));
  }

  /**
   * Reads records.
   *
   * @param classes all that were to run
   */
  static TestSummary of(List<TestRecord> records, Collection<String> classes) {
    TestSummary summary = new TestSummary(classes);
    Map<String, TestRecord> open = new LinkedHashMap<>();
    for (TestRecord record : records) {
      String call = record.method() + " " + record.call();
      if (record.state() == State.BEGUN) {
        open.put(call, record);
      } else {
        open.remove(call);
        summary.count(record);
      }
    }
    open.values().forEach(record -> summary.count(unended(record)));
    return summary;
  }

  private static TestRecord unended(TestRecord begun) {
    String what = "the process ended in the middle of it";
    return new TestRecord(begun.method(), begun.call(), State.FAILED, 0, what);
  }

  private void count(TestRecord record) {
    if (record.state() == State.ENDED) {
      return;
    }
    int dot = record.method().lastIndexOf('.');
    String name = owner(dot < 0 ? record.method() : record.method().substring(0, dot));
    counts.computeIfAbsent(name, any -> new int[State.values().length])[record.state().ordinal()]++;
    times.merge(name, record.ms(), Long::sum);
    if (record.state() != State.PASSED) {
      String first = String.valueOf(record.message()).lines().findFirst().orElse("");
      faults.add(record.state() + " " + record.method() + " " + record.call() + ": " + first);
    }
  }

  /** The class that was to run, for one nested in it. */
  private String owner(String name) {
    return classes.stream()
        .filter(listed -> name.startsWith(listed + "$"))
        .findFirst()
        .orElse(name);
  }

  private static int of(int[] counts, State state) {
    return counts[state.ordinal()];
  }

  /** Whether of each class something passed, and nothing failed or was skipped. */
  boolean isGood() {
    return !counts.isEmpty()
        && counts.values().stream()
            .allMatch(
                all ->
                    of(all, State.PASSED) > 0
                        && of(all, State.FAILED) + of(all, State.SKIPPED) == 0);
  }

  List<String> lines() {
    List<String> lines = new ArrayList<>();
    counts.forEach(
        (name, all) ->
            lines.add(
                String.format(
                    Locale.ROOT,
                    "%s: %d passed, %d failed, %d skipped, %.1f s",
                    name.substring(name.lastIndexOf('.') + 1),
                    of(all, State.PASSED),
                    of(all, State.FAILED),
                    of(all, State.SKIPPED),
                    times.getOrDefault(name, 0L) / 1000.0)));
    lines.addAll(faults);
    return lines;
  }
}

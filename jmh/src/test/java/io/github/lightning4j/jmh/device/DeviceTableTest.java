package io.github.lightning4j.jmh.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the table makes of results, and how they are kept. */
final class DeviceTableTest {
  private static final DeviceResult COPY =
      result("copy", Goal.NONE, 100, 4e8, 0, Goal.Kind.BANDWIDTH);

  @TempDir private Path temp;

  private static DeviceResult result(
      String row, Goal goal, double us, double bytes, double ops, Goal.@Nullable Kind yardstick) {
    Timing timing = new Timing(us, us / 2, us * 2, 9);
    return new DeviceResult(row, goal, timing, bytes, ops, yardstick, null, 0, null, null);
  }

  private static DeviceResult peer(String beside, double us, double factor) {
    Timing timing = Timing.of(us);
    return new DeviceResult("peer", null, timing, 0, 0, null, beside, factor, null, null);
  }

  private static List<String> rows(DeviceResult... results) {
    List<String> lines = new DeviceTable(List.of(results)).markdown();
    return lines.subList(2, lines.size());
  }

  @Test
  void holdsRatesAgainstTheYardstickOfTheSameRun() {
    Goal goal = Goal.ofBandwidth(0.85);
    assertThat(
            rows(
                COPY,
                result("good", goal, 10, 3.4e7, 0, null),
                result("slow", goal, 10, 3.36e7, 0, null)))
        .containsExactly(
            "| copy | - | 100.00 us (50.00 us to 200.00 us), 4,000 GB/s | - |",
            "| good | 85 % of memory bandwidth | 10.00 us (5.00 us to 20.00 us), 3,400 GB/s = 85 % | ok |",
            "| slow | 85 % of memory bandwidth | 10.00 us (5.00 us to 20.00 us), 3,360 GB/s = 84 % | short |");
  }

  @Test
  void holdsOperationsAgainstADenseProduct() {
    DeviceResult dense = result("dense", Goal.NONE, 1000, 0, 8e11, Goal.Kind.MATRIX_RATE);
    DeviceResult experts = result("experts", Goal.ofMatrixRate(0.7), 1000, 0, 5.6e11, null);
    assertThat(rows(dense, experts).get(1))
        .isEqualTo(
            "| experts | 70 % of a dense product | 1.000 ms (500.00 us to 2.000 ms), 560.0 TFLOP/s = 70 % | ok |");
    assertThat(rows(experts).get(0)).endsWith("| no yardstick |");
  }

  @Test
  void holdsTimesAgainstLimits() {
    assertThat(rows(result("a", Goal.microseconds(200), 200, 0, 0, null)).get(0))
        .isEqualTo("| a | 200.00 us | 200.00 us (100.00 us to 400.00 us) | ok |");
    assertThat(rows(result("a", Goal.microseconds(200), 201, 0, 0, null)).get(0))
        .endsWith("| short |");
  }

  @Test
  void holdsRowsAgainstOneAnother() {
    Goal goal = Goal.ofSpeed(0.8, "other", "the other");
    DeviceResult other = result("other", Goal.NONE, 100, 0, 1e9, null);
    DeviceResult twiceTheWork = result("a", goal, 250, 0, 2e9, null);
    assertThat(rows(other, twiceTheWork).get(1))
        .startsWith("| a | 0.8 x the speed of the other | 250.00 us")
        .endsWith("| 0.80 x: ok |");
    assertThat(rows(other, result("a", goal, 130, 0, 0, null)).get(1))
        .endsWith("| 0.77 x: short |");
    assertThat(rows(twiceTheWork).get(0)).endsWith("| no yardstick |");
    assertThat(rows(DeviceResult.unmeasured(new CopyRow(), "a"), twiceTheWork).get(1))
        .endsWith("| no yardstick |");
  }

  @Test
  void holdsOursAgainstPeers() {
    DeviceResult ours = result("ours", Goal.NONE, 10, 0, 0, null);
    assertThat(rows(ours, peer("ours", 15, 1.5)).get(1))
        .isEqualTo(
            "| peer | ours 1.5 x as fast | 15.00 us (15.00 us to 15.00 us) | ours 1.50 x: ok |");
    assertThat(rows(ours, peer("ours", 14, 1.5)).get(1)).endsWith("| ours 1.40 x: short |");
    assertThat(rows(ours, peer("ours", 14, 0)).get(1)).endsWith("| ours 1.40 x |");
    assertThat(rows(ours, peer("other", 14, 1.5)).get(1)).endsWith("| ours not measured |");
  }

  @Test
  void tellsWhyARowWasNotMeasured() {
    DeviceResult lost = DeviceResult.unmeasured(new CopyRow(), "lost:\n |700|");
    assertThat(rows(lost)).containsExactly("| " + CopyRow.TITLE + " | - | no: lost: /700/ | - |");
    assertThat(new DeviceTable(List.of(lost)).text().get(1)).contains("no: lost: /700/");
  }

  @Test
  void takesOverWhatOthersSay() throws IOException {
    Path path = temp.resolve("told");
    Files.writeString(
        path, "{\"row\": \"memcheck\", \"note\": \"clean: 3\", \"verdict\": \"ok\"}\n");
    assertThat(new DeviceTable(new ResultFile(path).read()).markdown().get(2))
        .isEqualTo("| memcheck | - | clean: 3 | ok |");
  }

  @Test
  void medianOfAnEvenNumberOfSamplesLiesBetween() {
    assertThat(Timing.of(4, 1, 3, 2)).isEqualTo(new Timing(2.5, 1, 4, 4));
  }

  @Test
  void filesKeepTheLastResultOfARow() throws IOException {
    ResultFile file = new ResultFile(temp.resolve("results"));
    assertThat(file.read()).isEmpty();
    file.add(DeviceResult.unmeasured(new CopyRow(), "did not end"));
    file.add(COPY);
    DeviceResult measured =
        DeviceResult.measured(new CopyRow(), new Measured(Timing.of(1), 2, 0), null);
    file.add(measured);
    assertThat(file.read()).containsExactly(measured, COPY);
  }

  @Test
  void filesKeepGoals() throws IOException {
    ResultFile file = new ResultFile(temp.resolve("results"));
    DeviceResult a = result("a", Goal.ofSpeed(0.6, "other", "the other"), 1, 0, 0, null);
    file.add(a);
    file.add(COPY);
    assertThat(file.read()).containsExactly(a, COPY);
  }

  @Test
  void readsWhatPeersWriteAndRefusesWhatIsNone() throws IOException {
    Path path = temp.resolve("peers");
    String line =
        "{\"row\": \"a\", \"bytes\": 8, \"yardstick\": \"BANDWIDTH\", \"timing\": {\"medianUs\": 2.0, \"minUs\": 1.0,"
            + " \"maxUs\": 3.0, \"samples\": 5}, \"later\": 1}\n";
    Files.writeString(path, line);
    assertThat(new ResultFile(path).read())
        .singleElement()
        .satisfies(a -> assertThat(a.rate(Goal.Kind.BANDWIDTH)).isEqualTo(4e6));
    Files.writeString(path, "Traceback\n");
    assertThatThrownBy(() -> new ResultFile(path).read())
        .isInstanceOf(IOException.class)
        .hasMessageEndingWith("expected a result a line, got Traceback");
  }
}

package io.github.lightning4j.jmh.device;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Results beside their goals: as a text for people, and as rows of {@code docs/notes/cuda.md}. */
final class DeviceTable {
  private static final List<String> HEADING = List.of("row", "goal", "measured", "verdict");

  private final Collection<DeviceResult> results;

  DeviceTable(Collection<DeviceResult> results) {
    this.results = results;
  }

  /** Columns as wide as what is in them. */
  List<String> text() {
    List<List<String>> lines = new ArrayList<>(List.of(HEADING));
    results.forEach(result -> lines.add(cells(result)));
    int[] widths = new int[HEADING.size()];
    for (List<String> line : lines) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], line.get(i).length());
      }
    }
    return lines.stream().map(line -> aligned(line, widths)).toList();
  }

  /** A row of a table in Markdown for each. */
  List<String> markdown() {
    List<String> lines = new ArrayList<>();
    lines.add("| " + String.join(" | ", HEADING) + " |");
    lines.add("| --- ".repeat(HEADING.size()) + "|");
    results.forEach(result -> lines.add("| " + String.join(" | ", cells(result)) + " |"));
    return lines;
  }

  private static String aligned(List<String> cells, int[] widths) {
    StringBuilder line = new StringBuilder();
    for (int i = 0; i < widths.length; i++) {
      line.append(String.format(Locale.ROOT, "%-" + widths[i] + "s  ", cells.get(i)));
    }
    return line.toString().stripTrailing();
  }

  private List<String> cells(DeviceResult result) {
    return List.of(result.row(), goal(result), measured(result), verdict(result));
  }

  private static String goal(DeviceResult result) {
    if (result.factor() > 0) {
      return String.format(Locale.ROOT, "ours %.1f x as fast", result.factor());
    }
    return result.goal() == null ? "-" : result.goal().toString();
  }

  private String measured(DeviceResult result) {
    if (result.timing() == null) {
      return (result.verdict() == null ? "no: " : "") + clean(result.note());
    }
    StringBuilder told = new StringBuilder(result.timing().toString());
    double bytes = result.rate(Goal.Kind.BANDWIDTH);
    if (!Double.isNaN(bytes)) {
      told.append(String.format(Locale.ROOT, ", %,.0f GB/s", bytes / 1e9));
      told.append(share(bytes, Goal.Kind.BANDWIDTH, result));
    }
    double operations = result.rate(Goal.Kind.MATRIX_RATE);
    if (!Double.isNaN(operations)) {
      told.append(String.format(Locale.ROOT, ", %,.1f TFLOP/s", operations / 1e12));
      told.append(share(operations, Goal.Kind.MATRIX_RATE, result));
    }
    return result.note() == null ? told.toString() : told + " (" + clean(result.note()) + ")";
  }

  /** A note is one line, whatever a driver or compiler had to say. */
  private static String clean(@Nullable String note) {
    String line = String.valueOf(note).strip().replaceAll("\\s+", " ").replace('|', '/');
    return line.length() > 200 ? line.substring(0, 200) + "..." : line;
  }

  private String share(double rate, Goal.Kind kind, DeviceResult result) {
    double peak = peak(kind);
    return Double.isNaN(peak) || result.yardstick() == kind
        ? ""
        : String.format(Locale.ROOT, " = %.0f %%", 100 * rate / peak);
  }

  private double peak(Goal.Kind kind) {
    return results.stream()
        .filter(result -> result.yardstick() == kind)
        .mapToDouble(result -> result.rate(kind))
        .filter(rate -> !Double.isNaN(rate))
        .findFirst()
        .orElse(Double.NaN);
  }

  private String verdict(DeviceResult result) {
    if (result.timing() == null) {
      return result.verdict() == null ? "-" : result.verdict();
    }
    if (result.beside() != null) {
      return besides(result, result.timing());
    }
    Goal goal = result.goal() == null ? Goal.NONE : result.goal();
    return switch (goal.kind()) {
      case NONE -> "-";
      case TIME -> told(result.timing().medianUs() <= goal.value());
      case SPEED -> speed(result, goal);
      case BANDWIDTH, MATRIX_RATE -> {
        double share = result.rate(goal.kind()) / peak(goal.kind());
        yield Double.isNaN(share) ? "no yardstick" : told(share >= goal.value());
      }
    };
  }

  private String speed(DeviceResult result, Goal goal) {
    double multiple =
        results.stream()
            .filter(other -> other.row().equals(goal.beside()) && other.timing() != null)
            .mapToDouble(result::speedOver)
            .findFirst()
            .orElse(Double.NaN);
    return Double.isNaN(multiple)
        ? "no yardstick"
        : String.format(Locale.ROOT, "%.2f x: %s", multiple, told(multiple >= goal.value()));
  }

  private String besides(DeviceResult peer, Timing timing) {
    for (DeviceResult ours : results) {
      if (ours.row().equals(peer.beside()) && ours.timing() != null) {
        double ratio = timing.medianUs() / ours.timing().medianUs();
        String told = String.format(Locale.ROOT, "ours %.2f x", ratio);
        return peer.factor() > 0 ? told + ": " + told(ratio >= peer.factor()) : told;
      }
    }
    return "ours not measured";
  }

  private static String told(boolean reached) {
    return reached ? "ok" : "short";
  }
}

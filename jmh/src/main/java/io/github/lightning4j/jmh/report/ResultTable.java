package io.github.lightning4j.jmh.report;

import io.github.lightning4j.jmh.AttentionSize;
import java.io.PrintWriter;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** Prints measurements as rates and as shares of the machine's limits. */
final class ResultTable {
  private static final Comparator<Measurement> ORDER =
      Comparator.comparing(Measurement::pass)
          .thenComparing(Measurement::dtype)
          .thenComparingInt(call -> call.size().heads())
          .thenComparingInt(call -> call.size().headSize())
          .thenComparingInt(Measurement::batch)
          .thenComparingInt(call -> call.size().tokens())
          .thenComparing(Measurement::kernel);

  private static final String HEADING =
      "| kernel | pass | type | heads x size | batch | tokens | threads | ns | GFLOP/s | of peak"
          + " | GB/s | of copy |\n"
          + "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

  private final Peaks peaks;

  ResultTable(Peaks peaks) {
    this.peaks = peaks;
  }

  void print(List<Measurement> calls, PrintWriter out) {
    out.println(HEADING);
    calls.stream().sorted(ORDER).map(this::row).forEach(out::println);
  }

  String row(Measurement call) {
    Work work = Work.of(call);
    double flops = work.operations() / call.nanoseconds() * 1e9;
    double bytes = work.bytes() / call.nanoseconds() * 1e9;
    AttentionSize size = call.size();
    return String.format(
        Locale.ROOT,
        "| %s | %s | %s | %d x %d | %d | %d | %d | %.0f | %.1f | %s | %.1f | %s |",
        call.kernel(),
        call.pass(),
        call.dtype().name().toLowerCase(Locale.ROOT),
        size.heads(),
        size.headSize(),
        call.batch(),
        size.tokens(),
        call.threads(),
        call.nanoseconds(),
        flops / 1e9,
        share(flops / peaks.operations(call.threads(), call.dtype())),
        bytes / 1e9,
        share(bytes / peaks.bytes(call.threads())));
  }

  static String share(double share) {
    return Double.isNaN(share) ? "-" : String.format(Locale.ROOT, "%.0f %%", 100 * share);
  }
}

package io.github.lightning4j.jmh.report;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Threads;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** The program: results of the benchmarks of mixtures of experts as a table. */
@Command(
    name = "MoeReport",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = "Tell rates, shares of the machine's limits and ratios to PyTorch.")
public final class MoeReport implements Callable<Integer> {
  private static final Comparator<MoeCall> ORDER =
      Comparator.comparing(MoeCall::pass)
          .thenComparingInt(MoeCall::threads)
          .thenComparingInt(MoeCall::tokens)
          .thenComparingDouble(call -> -call.weightBytes())
          .thenComparing(call -> !call.isOurs())
          .thenComparing(MoeCall::kernel);

  private static final String HEADING =
      "| kernel | pass | weights | tokens | threads | ms | GFLOP/s | of peak | GB/s of weights"
          + " | of read | PyTorch's best / this |\n"
          + "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

  @Spec private @Nullable CommandSpec spec;

  @Parameters(
      paramLabel = "RESULTS",
      arity = "1..*",
      description = "JSON files of benchmarks.jar -rf json.")
  private List<Path> results = List.of();

  @Option(
      names = "--torch",
      paramLabel = "FILE",
      description = "JSON of the same layer in PyTorch.")
  private @Nullable Path torch;

  @Option(
      names = "--measure",
      description = "Measure this machine, where the results must come from, for shares.")
  private boolean measure;

  /** Runs the program and ends with its status. */
  public static void main(String[] arguments) {
    System.exit(command().execute(arguments));
  }

  static CommandLine command() {
    return new CommandLine(new MoeReport())
        .setExecutionExceptionHandler(
            (fault, line, parsed) -> {
              line.getErr().println("MoeReport: " + fault.getMessage());
              return 1;
            });
  }

  @Override
  public Integer call() throws IOException {
    List<MoeCall> calls = new ArrayList<>();
    int otherwise = Threads.count();
    for (Path file : results) {
      calls.addAll(JsonFile.read(file, json -> MoeCall.ofJmh(json, otherwise)));
    }
    if (torch != null) {
      calls.addAll(JsonFile.read(torch, MoeCall::ofTorch));
    }
    TreeSet<Integer> threads =
        calls.stream().map(MoeCall::threads).collect(Collectors.toCollection(TreeSet::new));
    Peaks peaks = measure ? Peaks.measure(threads) : Peaks.UNKNOWN;
    PrintWriter out = spec.commandLine().getOut();
    out.println(HEADING);
    calls.stream().sorted(ORDER).map(call -> row(call, calls, peaks)).forEach(out::println);
    out.flush();
    return 0;
  }

  static String row(MoeCall call, List<MoeCall> all, Peaks peaks) {
    double operations = call.operations() / call.nanoseconds() * 1e9;
    double bytes = call.weightBytes() / call.nanoseconds() * 1e9;
    OptionalDouble peer =
        all.stream()
            .filter(other -> !other.isOurs() && isPeer(other, call))
            .mapToDouble(MoeCall::nanoseconds)
            .min();
    return String.format(
        Locale.ROOT,
        "| %s | %s | %s | %d | %d | %.3f | %.1f | %s | %.1f | %s | %s |",
        call.kernel(),
        call.pass(),
        call.weights(),
        call.tokens(),
        call.threads(),
        call.nanoseconds() / 1e6,
        operations / 1e9,
        ResultTable.share(operations / peaks.operations(call.threads(), DType.F32)),
        bytes / 1e9,
        ResultTable.share(bytes / peaks.read(call.threads())),
        call.isOurs() && peer.isPresent()
            ? String.format(Locale.ROOT, "%.2f", peer.getAsDouble() / call.nanoseconds())
            : "-");
  }

  private static boolean isPeer(MoeCall other, MoeCall call) {
    return other.pass() == call.pass()
        && other.weights().equals(call.weights())
        && other.tokens() == call.tokens()
        && other.threads() == call.threads();
  }
}

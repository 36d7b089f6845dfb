package io.github.lightning4j.jmh.report;

import io.github.lightning4j.core.Threads;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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

/** The program: results of the attention benchmarks as a table and as plots. */
@Command(
    name = "LightningReport",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = "Tell rates, shares of the machine's limits and crossing points; draw plots.")
public final class LightningReport implements Callable<Integer> {
  @Spec private @Nullable CommandSpec spec;

  @Parameters(
      paramLabel = "RESULTS",
      arity = "1..*",
      description = "JSON files of benchmarks.jar -rf json.")
  private List<Path> results = List.of();

  @Option(
      names = "--torch",
      paramLabel = "FILE",
      description = "JSON of the same operators in PyTorch.")
  private @Nullable Path torch;

  @Option(
      names = "--measure",
      description = "Measure this machine, where the results must come from, for shares.")
  private boolean measure;

  @Option(
      names = "--plots",
      paramLabel = "DIR",
      description = "Write a PNG for each pass, type and head size there.")
  private @Nullable Path plots;

  /** Runs the program and ends with its status. */
  public static void main(String[] arguments) {
    System.setProperty("java.awt.headless", "true");
    System.exit(command().execute(arguments));
  }

  static CommandLine command() {
    return new CommandLine(new LightningReport())
        .setExecutionExceptionHandler(
            (fault, line, parsed) -> {
              line.getErr().println("LightningReport: " + fault.getMessage());
              return 1;
            });
  }

  @Override
  public Integer call() throws IOException {
    List<Measurement> calls = new ArrayList<>();
    JmhResults ours = new JmhResults(Threads.count());
    for (Path file : results) {
      calls.addAll(JsonFile.read(file, ours::read));
    }
    if (torch != null) {
      calls.addAll(JsonFile.read(torch, TorchResults::read));
    }
    Peaks peaks = measure ? Peaks.measure(threads(calls)) : Peaks.UNKNOWN;
    PrintWriter out = spec.commandLine().getOut();
    new ResultTable(peaks).print(calls, out);
    for (TimePlot plot : TimePlot.of(calls)) {
      plot.crossings().forEach(out::println);
      if (plots != null) {
        out.println(plot.write(Files.createDirectories(plots)));
      }
    }
    out.flush();
    return 0;
  }

  private static TreeSet<Integer> threads(List<Measurement> calls) {
    return calls.stream().map(Measurement::threads).collect(Collectors.toCollection(TreeSet::new));
  }
}

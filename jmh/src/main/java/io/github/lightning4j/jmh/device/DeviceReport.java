package io.github.lightning4j.jmh.device;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** The program: one table of the results of {@link DeviceBench} and of peers. */
@Command(
    name = "DeviceReport",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = "Tell results on a GPU beside their goals and their peers.")
public final class DeviceReport implements Callable<Integer> {
  @Spec private @Nullable CommandSpec spec;

  @Parameters(
      paramLabel = "RESULTS",
      arity = "1..*",
      description = "Files of DeviceBench --results and device_peers.py --results.")
  private List<Path> files = List.of();

  @Option(
      names = "--markdown",
      paramLabel = "FILE",
      description = "Write the table there as well, as rows of Markdown.")
  private @Nullable Path markdown;

  /** Runs the program and ends with its status. */
  public static void main(String[] arguments) {
    System.exit(command().execute(arguments));
  }

  static CommandLine command() {
    return new CommandLine(new DeviceReport())
        .setExecutionExceptionHandler(
            (fault, line, parsed) -> {
              line.getErr().println("DeviceReport: " + fault.getMessage());
              return 1;
            });
  }

  @Override
  public Integer call() throws IOException {
    List<DeviceResult> results = new ArrayList<>();
    for (Path file : files) {
      results.addAll(new ResultFile(file).read());
    }
    DeviceTable table = new DeviceTable(results);
    PrintWriter out = spec.commandLine().getOut();
    table.text().forEach(out::println);
    out.flush();
    if (markdown != null) {
      Files.write(markdown, table.markdown());
    }
    return 0;
  }
}

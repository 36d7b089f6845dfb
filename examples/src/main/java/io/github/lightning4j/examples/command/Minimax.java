package io.github.lightning4j.examples.command;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/** The command: what it can do, and how it starts and ends. */
@Command(
    name = "minimax",
    synopsisSubcommandLabel = "COMMAND",
    description =
        "MiniMax hybrid models on the JVM. Without --model the small embedded one is used.")
public final class Minimax {
  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      scope = ScopeType.INHERIT,
      description = "Show this help.")
  private boolean help;

  @Option(
      names = "--stacktrace",
      scope = ScopeType.INHERIT,
      description = "Show where a fault came from.")
  private boolean stacktrace;

  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "Show what the libraries choose and why.")
  private void verbose(boolean on) {
    if (on) {
      LibraryLog.verbose();
    }
  }

  private Minimax() {}

  /** Runs the command and ends the process with its exit code. */
  public static void main(String[] args) {
    // JavaCPP counts mapped weights against limits of its own unless told not to, before it loads.
    System.setProperty("org.bytedeco.javacpp.maxBytes", "0");
    System.setProperty("org.bytedeco.javacpp.maxPhysicalBytes", "0");
    // From Java 22 on, System.console() is there without a terminal unless this asks for the old
    // one.
    System.setProperty("jdk.console", "java.base");
    System.setProperty("java.awt.headless", "true");
    LibraryLog.quiet();
    PrintWriter out = utf8(FileDescriptor.out);
    PrintWriter err = utf8(FileDescriptor.err);
    int code = run(args, new Console(out, err, System.console() != null));
    out.flush();
    err.flush();
    System.exit(code);
  }

  /**
   * Runs the command inside this process.
   *
   * @param args the words after {@code minimax}
   * @return the exit code: 0 done, 2 the caller or a file is at fault, 1 something else is
   */
  public static int run(String[] args, PrintWriter out, PrintWriter err) {
    return run(args, new Console(out, err, false));
  }

  static int run(String[] args, Console console) {
    Minimax minimax = new Minimax();
    Faults faults = new Faults(console.err(), () -> minimax.stacktrace);
    CommandLine line =
        new CommandLine(minimax)
            .addSubcommand(new GenerateCommand(console))
            .addSubcommand(new LogitsCommand(console))
            .addSubcommand(new PerplexityCommand(console))
            .addSubcommand(new InspectCommand(console))
            .addSubcommand(new QuantizeCommand(console))
            .addSubcommand(new BenchCommand(console))
            .addSubcommand(new MoeBenchCommand(console))
            .addSubcommand(new CalibrateCommand(console))
            .addSubcommand(new KvReportCommand(console))
            .addSubcommand(new CaptionReportCommand(console))
            .addSubcommand(new DiagnoseCommand(console))
            .addSubcommand(new RlCommand(console))
            .setOut(console.out())
            .setErr(console.err())
            .setUsageHelpWidth(100)
            .setExecutionExceptionHandler(faults)
            .setParameterExceptionHandler(faults);
    try {
      return line.execute(args);
    } catch (Error e) {
      return faults.report(e);
    } finally {
      console.out().flush();
      console.err().flush();
    }
  }

  private static PrintWriter utf8(FileDescriptor descriptor) {
    return new PrintWriter(new FileOutputStream(descriptor), false, StandardCharsets.UTF_8);
  }
}

package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.cuda.CudaDeviceLostException;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.kvquant.calibration.CalibrationException;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.util.function.BooleanSupplier;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/**
 * Turns what went wrong into one line on standard error and an exit code: 2 where the caller, a
 * file or the machine is at fault, 1 where this program is.
 */
final class Faults implements IExecutionExceptionHandler, IParameterExceptionHandler {
  private static final int OURS = 1;
  private static final int CALLERS = 2;

  private final PrintWriter err;
  private final BooleanSupplier stacktrace;

  /**
   * Faults of one run.
   *
   * @param stacktrace whether to show where a fault came from; asked when there is one
   */
  Faults(PrintWriter err, BooleanSupplier stacktrace) {
    this.err = err;
    this.stacktrace = stacktrace;
  }

  @Override
  public int handleParseException(ParameterException fault, String[] args) {
    String command = fault.getCommandLine().getCommandSpec().qualifiedName();
    err.println("minimax: " + oneLine(fault) + " (" + command + " --help tells more)");
    return CALLERS;
  }

  @Override
  public int handleExecutionException(Exception fault, CommandLine line, ParseResult parsed) {
    return report(fault);
  }

  /** Reports a fault and tells the exit code. */
  int report(Throwable fault) {
    if (fault instanceof RankOptions.ReportedElsewhere) {
      return CALLERS;
    }
    boolean callers = isCallers(fault);
    err.println("minimax: " + (callers ? "" : "internal fault: ") + oneLine(fault));
    if (stacktrace.getAsBoolean()) {
      fault.printStackTrace(err);
    }
    return callers ? CALLERS : OURS;
  }

  private static boolean isCallers(Throwable fault) {
    return fault instanceof IllegalArgumentException
        || fault instanceof IllegalStateException
        || fault instanceof CheckpointException
        || fault instanceof CalibrationException
        || fault instanceof PageBudgetException
        || fault instanceof RankFailedException
        || fault instanceof RankMismatchException
        || fault instanceof OutOfNativeMemoryException
        || fault instanceof CudaOutOfMemoryException
        || fault instanceof CudaDeviceLostException
        || fault instanceof IOException
        || fault instanceof UncheckedIOException;
  }

  private static String oneLine(Throwable fault) {
    String message = fault.getMessage();
    boolean tells = message != null && (isCallers(fault) || fault instanceof ParameterException);
    return (tells ? message : fault.toString()).strip().replaceAll("\\s*\\R\\s*", " ");
  }
}

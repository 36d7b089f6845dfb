package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.MpiCommunicator;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import java.util.function.Consumer;
import picocli.CommandLine.Option;

/** Whether processes share a model out. */
final class RankOptions {
  @Option(
      names = "--expert-parallel",
      description =
          "Under mpirun: share the experts of each layer out over the processes, each with a GPU of"
              + " its own (--device cuda: that of its number on its host). All read the same prompt;"
              + " the first one writes.")
  private boolean shared;

  /** Another rank went wrong, whom the first one reports. */
  static final class ReportedElsewhere extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private ReportedElsewhere(RuntimeException cause) {
      super(cause);
    }
  }

  /**
   * Finds the device of this process, and runs a task, which all processes do where they share.
   *
   * @param task takes the console that it writes to
   */
  void run(DeviceOptions device, ModelOptions model, Console console, Consumer<Console> task) {
    if (!shared) {
      model.on(device.find());
      task.accept(console);
      return;
    }
    checkArgument(!device.isCpu(), "--expert-parallel: expected --device cuda, got cpu");
    try {
      MpiCommunicator.run(ranks -> run(ranks, device, model, console, task));
    } catch (RuntimeException e) {
      throw e;
    } catch (Exception e) {
      throw new IllegalStateException(e.getMessage(), e);
    }
  }

  private static void run(
      Communicator ranks,
      DeviceOptions device,
      ModelOptions model,
      Console console,
      Consumer<Console> task) {
    try {
      model.on(device.find(MpiCommunicator.localRank())).among(ranks);
      task.accept(ranks.rank() == 0 ? console : console.silent());
    } catch (RankFailedException | RankMismatchException e) {
      throw ranks.rank() == 0 ? e : new ReportedElsewhere(e);
    }
  }
}

package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaDeviceLostException;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The program: measures rows on a GPU, each in turn, and goes on where a run before it ended. */
@Command(
    name = "DeviceBench",
    sortOptions = false,
    mixinStandardHelpOptions = true,
    description = "Measure operators on a GPU against their goals.",
    exitCodeListHeading = "Exit codes:%n",
    exitCodeList = {
      "0:all rows were measured, or something is missing that only they need",
      "1:rows failed",
      "2:no GPU, or bad arguments",
      "3:the GPU was lost; start again with the same file for the rows that are left"
    })
public final class DeviceBench implements Callable<Integer> {
  private static final int FAILED = 1;
  private static final int NO_GPU = 2;
  private static final int LOST = 3;

  @Spec private @Nullable CommandSpec spec;

  @Option(names = "--list", description = "Tell the rows and their goals, and end.")
  private boolean list;

  @Option(
      names = "--rows",
      paramLabel = "REGEX",
      description = "Only rows in whose title this is found.")
  private Pattern rows = Pattern.compile("");

  @Option(names = "--device", paramLabel = "N", description = "The GPU; 0 if not given.")
  private int device;

  @Option(names = "--smoke", description = "Tiny sizes and two steps, to see that all runs.")
  private boolean smoke;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      description = "Begin no row after so many seconds.")
  private double seconds = Double.POSITIVE_INFINITY;

  @Option(
      names = "--results",
      paramLabel = "FILE",
      description =
          "Where results go, a line of JSON each; device.jsonl if not given. Rows that are there are"
              + " not run again.")
  private Path file = Path.of("device.jsonl");

  /** Runs the program and ends with its status. */
  public static void main(String[] arguments) {
    System.exit(command().execute(arguments));
  }

  static CommandLine command() {
    return new CommandLine(new DeviceBench());
  }

  @Override
  public Integer call() throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    List<DeviceRow> wanted =
        DeviceRows.all().stream().filter(row -> rows.matcher(row.title()).find()).toList();
    if (list) {
      wanted.forEach(row -> out.println(row.title() + ": " + row.goal()));
      return 0;
    }
    Availability cuda = KernelModule.availability();
    if (!cuda.isAvailable()) {
      spec.commandLine().getErr().println("DeviceBench: " + cuda.reason() + "; " + cuda.fix());
      return NO_GPU;
    }
    Files.createDirectories(file.toAbsolutePath().getParent());
    CudaDevice gpu = CudaDevice.of(device);
    out.println(gpu + (smoke ? ", tiny sizes" : ""));
    int status = measure(gpu, wanted, out);
    new DeviceTable(new ResultFile(file).read()).text().forEach(out::println);
    out.flush();
    return status;
  }

  private int measure(CudaDevice gpu, List<DeviceRow> wanted, PrintWriter out) throws IOException {
    ResultFile results = new ResultFile(file);
    Set<String> known = results.read().stream().map(DeviceResult::row).collect(Collectors.toSet());
    long start = System.nanoTime();
    int status = 0;
    for (DeviceRow row : wanted) {
      if (known.contains(row.title())) {
        continue;
      }
      if ((System.nanoTime() - start) / 1e9 > seconds) {
        results.add(DeviceResult.unmeasured(row, "no time was left"));
        continue;
      }
      // Stays where the process is ended, or ends, in the middle of it.
      results.add(DeviceResult.unmeasured(row, "did not end"));
      out.println(row.title());
      out.flush();
      try {
        results.add(measure(gpu, row, smoke));
      } catch (CudaDeviceLostException e) {
        results.add(DeviceResult.unmeasured(row, e.toString()));
        return LOST;
      } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
        e.printStackTrace(out);
        results.add(DeviceResult.unmeasured(row, e.toString()));
        status = FAILED;
      }
    }
    return status;
  }

  /** Measures a row, or says what of the machine is in the way. */
  static DeviceResult measure(CudaDevice gpu, DeviceRow row, boolean smoke) {
    try (Scene scene = new Scene(gpu, smoke)) {
      return DeviceResult.measured(row, row.measure(scene), smoke ? "tiny sizes" : null);
    } catch (DeviceRow.Unmeasurable e) {
      return DeviceResult.unmeasured(row, String.valueOf(e.getMessage()));
    } catch (CudaOutOfMemoryException e) {
      return DeviceResult.unmeasured(row, "too large for this GPU: " + e.getMessage());
    }
  }
}

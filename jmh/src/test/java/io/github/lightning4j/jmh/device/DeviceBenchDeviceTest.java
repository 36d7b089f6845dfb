package io.github.lightning4j.jmh.device;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** Every row runs, at tiny sizes. */
@RequiresCuda
final class DeviceBenchDeviceTest {
  @TempDir private Path temp;

  private static int run(String... arguments) {
    StringWriter text = new StringWriter();
    CommandLine command = DeviceBench.command().setOut(new PrintWriter(text));
    return command.execute(arguments);
  }

  @Test
  void measuresEveryRowOnce() throws Exception {
    Path file = temp.resolve("bench.jsonl");
    long before = CudaMemory.liveBytes();
    assertThat(run("--smoke", "--results", file.toString())).isZero();
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
    assertThat(new ResultFile(file).read())
        .extracting(DeviceResult::row)
        .containsExactlyElementsOf(DeviceRows.all().stream().map(DeviceRow::title).toList());
    assertThat(new ResultFile(file).read())
        .allSatisfy(
            result -> {
              if (result.timing() == null) {
                assertThat(result.row())
                    .isIn(DenseProductRow.TITLE, ProductPromptRow.LIBRARY.title());
                assertThat(result.note()).matches("cuBLAS(Lt)? did not load.*");
              } else {
                assertThat(result.timing().medianUs()).isPositive();
                assertThat(result.note()).isEqualTo("tiny sizes");
              }
            });
    byte[] written = Files.readAllBytes(file);
    assertThat(run("--smoke", "--results", file.toString())).isZero();
    assertThat(Files.readAllBytes(file)).as("rows are not run again").isEqualTo(written);
  }

  @Test
  void saysThatARowIsTooLarge() {
    DeviceRow row =
        new DeviceRow() {
          @Override
          public String title() {
            return "large";
          }

          @Override
          public Goal goal() {
            return Goal.NONE;
          }

          @Override
          public Measured measure(Scene scene) {
            scene.zeros(DType.U8, 1024);
            scene.zeros(DType.U8, 1L << 50);
            return new Measured(Timing.of(1), 0, 0);
          }
        };
    long before = CudaMemory.liveBytes();
    DeviceResult result = DeviceBench.measure(CudaDevice.of(0), row, true);
    assertThat(result.timing()).isNull();
    assertThat(result.note()).startsWith("too large for this GPU: ");
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void beginsNoRowWhenTimeIsUp() throws Exception {
    Path file = temp.resolve("bench.jsonl");
    assertThat(run("--smoke", "--seconds=-1", "--rows=argmax", "--results=" + file)).isZero();
    assertThat(new ResultFile(file).read())
        .singleElement()
        .satisfies(result -> assertThat(result.note()).isEqualTo("no time was left"));
  }
}

package io.github.lightning4j.jmh.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.awt.Color;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The program from files to table and plots. */
final class LightningReportTest {
  @TempDir private Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();
  private Path results;

  @BeforeEach
  void writeResults() throws IOException {
    results = Files.writeString(folder.resolve("jmh.json"), Samples.JMH);
  }

  private int run(Object... arguments) {
    CommandLine command =
        LightningReport.command()
            .setOut(new PrintWriter(out, true))
            .setErr(new PrintWriter(err, true));
    return command.execute(
        List.of(arguments).stream().map(Object::toString).toArray(String[]::new));
  }

  @Test
  void printsOursAndPyTorchs() throws IOException {
    Path torch = Files.writeString(folder.resolve("torch.json"), Samples.TORCH);
    assertThat(run(results, "--torch", torch)).as(err.toString()).isZero();
    assertThat(out.toString().lines().skip(2).limit(5))
        .extracting(line -> line.split(" \\| ")[0])
        .containsExactly(
            "| lightning",
            "| lightning, PyTorch",
            "| softmax, oneDNN",
            "| softmax, PyTorch",
            "| lightning, Java loop");
  }

  @Test
  void saysWhatIsWrongWithAFile() throws IOException {
    assertThat(run(folder.resolve("missing.json"))).isEqualTo(1);
    assertThat(err.toString()).contains("missing.json: no such file");
    Path broken = Files.writeString(folder.resolve("broken.json"), "[{");
    assertThat(run(broken)).isEqualTo(1);
    assertThat(err.toString()).contains("broken.json: expected JSON, got ");
    assertThat(run(results, "--torch", results)).isEqualTo(1);
    assertThat(err.toString()).contains("jmh.json: expected an object with \"threads\"");
    assertThat(run()).isEqualTo(2);
  }

  @Test
  void drawsAPlotWithTheCrossing() throws IOException {
    List<Measurement> calls =
        IntStream.of(256, 1024, 4096)
            .boxed()
            .flatMap(
                t ->
                    List.of(
                        Samples.call(Kernel.LIGHTNING, Pass.FORWARD, "16x64x" + t, 700.0 * t),
                        Samples.call(Kernel.SOFTMAX, Pass.FORWARD, "16x64x" + t, 1.0 * t * t),
                        Samples.call(Kernel.TORCH_SOFTMAX, Pass.FORWARD, "8x32x" + t, 1))
                        .stream())
            .toList();
    List<TimePlot> plots = List.copyOf(TimePlot.of(calls));
    assertThat(plots).as("none without a curve of ours").hasSize(1);
    assertThat(plots.get(0).crossings())
        .containsExactly(
            "forward, f32, 16 heads of 64, batch 1, threads 1: lightning against softmax, oneDNN:"
                + " faster from 700 tokens on");
    Path file = plots.get(0).write(folder);
    assertThat(file).hasFileName("forward-f32-16x64-batch1-threads1.png");
    BufferedImage image = ImageIO.read(file.toFile());
    assertThat(image.getWidth()).isEqualTo(TimePlot.WIDTH);
    assertThat(image.getHeight()).isEqualTo(TimePlot.HEIGHT);
    assertThat(colours(image)).as("two curves, a mark, a background").isGreaterThan(4);
  }

  @Test
  void decodingIsNotPlotted() {
    assertThat(TimePlot.of(List.of(Samples.call(Kernel.LIGHTNING, Pass.DECODE, "2x4", 1))))
        .isEmpty();
  }

  /** Colours that are not grey. */
  private static long colours(BufferedImage image) {
    return IntStream.range(0, image.getWidth() * image.getHeight())
        .map(i -> image.getRGB(i % image.getWidth(), i / image.getWidth()))
        .mapToObj(Color::new)
        .filter(c -> c.getRed() != c.getGreen() || c.getGreen() != c.getBlue())
        .distinct()
        .count();
  }
}

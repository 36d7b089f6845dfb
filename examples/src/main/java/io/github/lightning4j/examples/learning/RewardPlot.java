package io.github.lightning4j.examples.learning;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;

/** Reward against updates: means over seeds, with bars of one standard deviation. */
public final class RewardPlot {
  /** So many points a curve at most: bars of more would run into one another. */
  private static final int POINTS = 25;

  private RewardPlot() {}

  /** Writes a PNG. */
  public static void write(List<Curves> curves, String title, Path file) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(900)
            .height(600)
            .title(title)
            .xAxisTitle("updates")
            .yAxisTitle("mean reward")
            .build();
    chart.getStyler().setLegendPosition(LegendPosition.InsideSE);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    chart.getStyler().setYAxisMin(0.0).setYAxisMax(1.0);
    for (Curves of : curves) {
      int step = Math.max(1, (of.points() + POINTS - 1) / POINTS);
      int[] points = IntStream.range(0, of.points()).filter(p -> p % step == 0).toArray();
      chart.addSeries(
          of.recipe(),
          IntStream.of(points).mapToDouble(of::meanUpdates).toArray(),
          IntStream.of(points).mapToDouble(of::mean).toArray(),
          IntStream.of(points).mapToDouble(of::deviation).toArray());
    }
    try (var out = Files.newOutputStream(file)) {
      BitmapEncoder.saveBitmap(chart, out, BitmapFormat.PNG);
    }
  }
}

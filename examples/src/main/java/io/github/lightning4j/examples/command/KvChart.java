package io.github.lightning4j.examples.command;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries.XYSeriesRenderStyle;
import org.knowm.xchart.style.Styler.LegendPosition;

/** Perplexity against bits an element, a point for each format. */
final class KvChart {
  private static final int WIDTH = 900;
  private static final int HEIGHT = 600;

  private KvChart() {}

  /**
   * Writes a PNG.
   *
   * @throws IllegalArgumentException if it cannot be written
   */
  static void write(KvReport report, Path file) {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title("Formats of key-value caches")
            .xAxisTitle("bits an element")
            .yAxisTitle("perplexity")
            .build();
    chart.getStyler().setDefaultSeriesRenderStyle(XYSeriesRenderStyle.Scatter);
    chart.getStyler().setLegendPosition(LegendPosition.OutsideE);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    for (KvReport.Row row : report.rows()) {
      chart.addSeries(
          row.name(), new double[] {row.bits()}, new double[] {row.quality().perplexity()});
    }
    try {
      BitmapEncoder.saveBitmap(chart, file.toString(), BitmapFormat.PNG);
    } catch (IOException e) {
      throw new IllegalArgumentException("--out: " + file + " cannot be written (" + e + ")", e);
    }
  }
}

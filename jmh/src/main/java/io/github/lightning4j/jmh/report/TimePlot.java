package io.github.lightning4j.jmh.report;

import io.github.lightning4j.jmh.AttentionSize;
import io.github.lightning4j.jmh.report.Kernel.Algorithm;
import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalDouble;
import java.util.TreeMap;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.markers.SeriesMarkers;

/**
 * Time against tokens, both logarithmic, of all kernels for one pass, type, head size and number of
 * threads; with the point from which lightning attention stays ahead of softmax attention.
 */
final class TimePlot {
  static final int WIDTH = 900;
  static final int HEIGHT = 600;

  /** What the curves of one plot have in common. */
  private record Topic(Pass pass, String dtype, int heads, int headSize, int batch, int threads) {
    static Topic of(Measurement call) {
      AttentionSize size = call.size();
      return new Topic(
          call.pass(),
          call.dtype().name().toLowerCase(Locale.ROOT),
          size.heads(),
          size.headSize(),
          call.batch(),
          call.threads());
    }

    String title() {
      return "%s, %s, %d heads of %d, batch %d, threads %d"
          .formatted(pass, dtype, heads, headSize, batch, threads);
    }

    String file() {
      return "%s-%s-%dx%d-batch%d-threads%d"
          .formatted(pass, dtype, heads, headSize, batch, threads);
    }
  }

  private final Topic topic;
  private final Map<Kernel, NavigableMap<Integer, Double>> curves = new TreeMap<>();

  private TimePlot(Topic topic) {
    this.topic = topic;
  }

  /** One plot for each topic that lightning attention has a curve in; decoding has none. */
  static Collection<TimePlot> of(List<Measurement> calls) {
    Map<Topic, TimePlot> plots = new LinkedHashMap<>();
    for (Measurement call : calls) {
      if (!call.pass().isDecode()) {
        plots
            .computeIfAbsent(Topic.of(call), TimePlot::new)
            .curves
            .computeIfAbsent(call.kernel(), kernel -> new TreeMap<>())
            .put(call.size().tokens(), call.nanoseconds());
      }
    }
    plots.values().removeIf(plot -> !plot.curves.containsKey(Kernel.LIGHTNING));
    return plots.values();
  }

  /** From where on lightning attention is faster than each softmax attention, a line each. */
  List<String> crossings() {
    List<String> lines = new ArrayList<>();
    for (Kernel peer : curves.keySet()) {
      if (peer.algorithm() == Algorithm.QUADRATIC) {
        lines.add(topic.title() + ": lightning against " + peer + ": " + crossing(peer).told());
      }
    }
    return lines;
  }

  private Crossing crossing(Kernel peer) {
    return new Crossing(curves.get(Kernel.LIGHTNING), curves.get(peer));
  }

  /** Writes a PNG into a folder and returns its path. */
  Path write(Path folder) throws IOException {
    XYChart chart =
        new XYChartBuilder()
            .width(WIDTH)
            .height(HEIGHT)
            .title(topic.title())
            .xAxisTitle("tokens")
            .yAxisTitle("milliseconds a call")
            .build();
    chart.getStyler().setXAxisLogarithmic(true).setYAxisLogarithmic(true);
    chart.getStyler().setLegendPosition(LegendPosition.InsideNW);
    chart.getStyler().setChartBackgroundColor(Color.WHITE);
    curves.forEach((kernel, curve) -> add(chart, kernel.toString(), curve));
    for (Kernel peer : curves.keySet()) {
      if (peer.algorithm() == Algorithm.QUADRATIC) {
        mark(chart, peer);
      }
    }
    Path file = folder.resolve(topic.file() + ".png");
    BitmapEncoder.saveBitmap(chart, file.toString(), BitmapFormat.PNG);
    return file;
  }

  private static void add(XYChart chart, String label, NavigableMap<Integer, Double> curve) {
    List<Double> milliseconds = new ArrayList<>();
    curve.values().forEach(nanoseconds -> milliseconds.add(nanoseconds / 1e6));
    chart.addSeries(label, new ArrayList<>(curve.keySet()), milliseconds);
  }

  /** The crossing with a peer, on our curve. */
  private void mark(XYChart chart, Kernel peer) {
    OptionalDouble tokens = crossing(peer).tokens();
    if (tokens.isEmpty()) {
      return;
    }
    double at = tokens.getAsDouble();
    NavigableMap<Integer, Double> curve = curves.get(Kernel.LIGHTNING);
    Map.Entry<Integer, Double> left = curve.floorEntry((int) at);
    Map.Entry<Integer, Double> right = curve.higherEntry((int) at);
    double part = Math.log(at / left.getKey()) / Math.log((double) right.getKey() / left.getKey());
    double time = left.getValue() * Math.pow(right.getValue() / left.getValue(), part);
    chart
        .addSeries(
            "equal to " + peer + " at " + Math.round(at) + " tokens",
            new double[] {at},
            new double[] {time / 1e6})
        .setMarker(SeriesMarkers.DIAMOND)
        .setMarkerColor(Color.BLACK)
        .setLineColor(Color.BLACK);
  }
}

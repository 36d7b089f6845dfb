package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * How well pictures are captioned with key-value caches of several formats, the first of them the
 * base of the others.
 *
 * @param pictures how many were captioned
 * @param rows a format each
 */
record CaptionReport(int pictures, List<Row> rows) {
  /**
   * One format. Shares are means over pictures of the share of names right, each at its place.
   *
   * @param name of the format
   * @param packed whether it is held in the bits it says, or only simulated
   * @param right share of names right
   * @param change of that share from the base's, picture by picture
   * @param whole share of captions that are right as a whole
   * @param bits an element beyond pivots, sinks and window, metadata included, measured on pages; a
   *     mean over the tokens of all captions
   * @param storedBits an element of any token, those in 16 bits and metadata included, without
   *     slots of pages that wait; a mean as well
   * @param bytesPerToken of all caches at the end of a caption, as pages take them
   * @param captions what was said of each picture
   */
  record Row(
      String name,
      boolean packed,
      MeanInterval right,
      MeanInterval change,
      double whole,
      double bits,
      double storedBits,
      double bytesPerToken,
      List<String> captions) {}

  /**
   * 16 bits; 2 bits as their authors have them; and naive and RotateKV with as many tokens kept as
   * AKVQ keeps.
   *
   * @param recent so many newest tokens stay in 16 bits, where a format has such a window
   */
  static List<KvCacheFormat> formats(int recent, Optional<Path> calibration) {
    WindowedFormats windowed = new WindowedFormats(recent, calibration);
    List<KvCacheFormat> all = new ArrayList<>();
    all.add(KvCacheFormat.of("f16"));
    for (String name : List.of("naive-2", "rotatekv-2")) {
      all.add(windowed.of(name));
      all.add(windowed.keepingAsAkvq(name));
    }
    all.addAll(windowed.all("kivi-2", "kv2", "akvq-2", "akvq-2-lm", "akvq-2-text4"));
    return all;
  }

  /**
   * Captions all pictures with all formats.
   *
   * @param prompt what to ask, with one {@code <image>}
   */
  static CaptionReport of(
      TextModel open,
      Captioner captioner,
      List<CaptionedPicture> pictures,
      String prompt,
      List<KvCacheFormat> formats,
      ProgressListener progress) {
    Sums[] sums = new Sums[formats.size()];
    Arrays.setAll(sums, i -> new Sums(pictures.size()));
    for (int p = 0; p < pictures.size(); p++) {
      CaptionedPicture picture = pictures.get(p);
      List<RgbImage> images = List.of(RgbImage.read(picture.picture()));
      try (ImagePrompt read = open.imagePrompt("--prompt", prompt, images)) {
        for (int i = 0; i < sums.length; i++) {
          sums[i].add(picture, captioner.caption(read, formats.get(i)));
        }
      }
      progress.progress(p + 1L, pictures.size());
    }
    List<Row> rows = new ArrayList<>();
    for (int i = 0; i < sums.length; i++) {
      rows.add(sums[i].row(formats.get(i), sums[0]));
    }
    return new CaptionReport(pictures.size(), rows);
  }

  private static final class Sums {
    private final double[] right;
    private final List<String> captions = new ArrayList<>();
    private double bits; // times tokens, as the next
    private double storedBits;
    private long bytes;
    private long tokens;

    Sums(int pictures) {
      this.right = new double[pictures];
    }

    void add(CaptionedPicture picture, Captioner.Caption caption) {
      right[captions.size()] = picture.right(caption.text());
      captions.add(caption.text().strip());
      bits += caption.bits() * caption.tokens();
      storedBits += caption.storedBits() * caption.tokens();
      bytes += caption.bytes();
      tokens += caption.tokens();
    }

    Row row(KvCacheFormat format, Sums base) {
      double[] change = new double[right.length];
      Arrays.setAll(change, i -> right[i] - base.right[i]);
      boolean packed = format.policy().isEmpty() || format.isPacked();
      double simulated =
          format.policy().map(KvPolicy::bitsPerElement).orElse(8.0 * format.exact().bytes());
      return new Row(
          format.name(),
          packed,
          MeanInterval.of(right),
          MeanInterval.of(change),
          (double) Arrays.stream(right).filter(share -> share == 1).count() / right.length,
          bits > 0 ? bits / tokens : simulated,
          storedBits / tokens,
          (double) bytes / tokens,
          List.copyOf(captions));
    }
  }

  void print(PrintWriter out) {
    out.println(
        "| format | names right | against 16 bits | captions right | bits | bits of all tokens | bytes a token |");
    out.println("| --- | --- | --- | --- | --- | --- | --- |");
    for (Row row : rows) {
      out.printf(
          Locale.ROOT,
          "| %s | %.2f %% +- %.2f | %+.2f +- %.2f | %.1f %% | %s%.3f | %s | %s |%n",
          row.name(),
          100 * row.right().mean(),
          100 * row.right().halfWidth(),
          100 * row.change().mean(),
          100 * row.change().halfWidth(),
          100 * row.whole(),
          row.packed() ? "" : "~",
          row.bits(),
          row.packed() ? String.format(Locale.ROOT, "%.3f", row.storedBits()) : "-",
          row.packed() ? String.format(Locale.ROOT, "%,.0f", row.bytesPerToken()) : "-");
    }
    out.printf(Locale.ROOT, "%n%,d pictures; +- is half of a 95 %% interval.%n", pictures);
    out.println(
        "Bits: of an element beyond pivots, sinks and recent tokens, on pages; then of all.");
    out.println("~ simulated.");
  }

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("pictures", pictures);
    ArrayNode list = node.putArray("formats");
    for (Row row : rows) {
      ObjectNode one = list.addObject();
      one.put("format", row.name()).put("packed", row.packed());
      one.put("namesRight", row.right().mean());
      one.put("namesRightHalfWidth", row.right().halfWidth());
      one.put("change", row.change().mean()).put("changeHalfWidth", row.change().halfWidth());
      one.put("captionsRight", row.whole()).put("bitsPerElement", row.bits());
      if (row.packed()) {
        one.put("storedBitsPerElement", row.storedBits());
      }
      one.put("bytesPerToken", row.bytesPerToken());
      row.captions().forEach(one.putArray("captions")::add);
    }
    return node;
  }
}

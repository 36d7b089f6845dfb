package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.base.Splitter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A picture, and what is to be said of it.
 *
 * @param picture a PNG or JPEG file
 * @param names what it shows, in the order of the caption
 */
record CaptionedPicture(Path picture, List<String> names) {
  private static final Splitter COMMAS = Splitter.on(',').trimResults();

  /** Takes a copy. */
  CaptionedPicture {
    names = List.copyOf(names);
  }

  /**
   * Reads a file of tab-separated values, {@code picture <tab> name, name, ...} a line.
   *
   * @param folder where the pictures are
   * @throws IllegalArgumentException if the file cannot be read, or a line has other than two parts
   */
  static List<CaptionedPicture> read(Path folder, Path captions) {
    List<CaptionedPicture> all = new ArrayList<>();
    for (String line : InputFile.text("--captions", captions).lines().toList()) {
      List<String> parts = Splitter.on('\t').splitToList(line);
      checkArgument(
          parts.size() == 2,
          "--captions: expected a picture, a tab and a caption in line %s of %s, got %s parts",
          all.size() + 1,
          captions,
          parts.size());
      all.add(new CaptionedPicture(folder.resolve(parts.get(0)), names(parts.get(1))));
    }
    checkArgument(!all.isEmpty(), "--captions: %s is empty", captions);
    return all;
  }

  private static List<String> names(String caption) {
    return COMMAS.splitToList(caption);
  }

  /** The share of its names that a caption has, each at its place. */
  double right(String caption) {
    List<String> said = names(caption);
    int right = 0;
    for (int i = 0; i < Math.min(names.size(), said.size()); i++) {
      right += names.get(i).equals(said.get(i)) ? 1 : 0;
    }
    return (double) right / names.size();
  }
}

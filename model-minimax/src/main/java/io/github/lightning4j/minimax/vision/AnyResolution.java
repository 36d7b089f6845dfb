package io.github.lightning4j.minimax.vision;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.List;

/**
 * The choice of a canvas for a picture of any size, as MiniMax-VL-01 makes it.
 *
 * <p>Of the canvases on offer that one is taken on which the picture keeps most of its pixels,
 * {@code min(floor(W s) floor(H s), W H)} with {@code s = min(canvasW / W, canvasH / H)}; among
 * equals that with the fewest pixels to spare, then the first. All in doubles that are truncated,
 * as the released code has it: exact arithmetic chooses otherwise for some sizes.
 *
 * @param tile pixels of a tile's side
 * @param patch pixels of a patch's side; divides {@code tile}
 * @param canvases sizes on offer, each a multiple of {@code tile}
 */
public record AnyResolution(int tile, int patch, List<Resolution> canvases) {
  /** Checks sizes. */
  public AnyResolution {
    canvases = List.copyOf(canvases);
    checkArgument(
        patch >= 1 && tile >= patch && tile % patch == 0,
        "patch_size: expected a divisor of the tile of %s pixels, got %s",
        tile,
        patch);
    checkArgument(!canvases.isEmpty(), "image_grid_pinpoints: expected at least one, got none");
    for (Resolution canvas : canvases) {
      checkArgument(
          canvas.width() % tile == 0 && canvas.height() % tile == 0,
          "image_grid_pinpoints: expected multiples of the tile of %s pixels, got %s",
          tile,
          canvas);
    }
  }

  /**
   * The layout of a picture.
   *
   * @throws ImageException if it is so thin that no pixel would be left of one side
   */
  public TileLayout layout(Resolution image) {
    Resolution canvas = canvas(image);
    int width = canvas.width();
    int height = canvas.height();
    if (image.width() / (double) image.height() > width / (double) height) {
      height = (int) ((double) ((long) width * image.height()) / image.width());
    } else {
      width = (int) ((double) ((long) height * image.width()) / image.height());
    }
    if (width == 0 || height == 0) {
      throw new ImageException(
          image + " pixels",
          "too thin: on a canvas of " + canvas + " one side would have no pixel; crop the picture");
    }
    return new TileLayout(image, canvas, new Resolution(width, height), tile, patch);
  }

  private Resolution canvas(Resolution image) {
    Resolution best = canvases.get(0);
    long most = 0;
    long least = Long.MAX_VALUE;
    for (Resolution canvas : canvases) {
      double scale =
          Math.min(
              canvas.width() / (double) image.width(), canvas.height() / (double) image.height());
      long scaled = (long) (int) (image.width() * scale) * (int) (image.height() * scale);
      long used = Math.min(scaled, image.pixels());
      long wasted = canvas.pixels() - used;
      if (used > most || used == most && wasted < least) {
        best = canvas;
        most = used;
        least = wasted;
      }
    }
    return best;
  }
}

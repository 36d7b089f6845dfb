package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.vision.TileLayout;

/**
 * Puts the rows of the tiles of a picture where a prompt wants them: those of tile 0 first, then
 * the kept part of the grid that the other tiles form, row by row, each with a newline behind it.
 */
final class FeaturePacking {
  private final TileLayout layout;
  private final TileLayout.Cells kept;
  private final Tensor out;

  /**
   * Packing of one picture.
   *
   * @param out {@code [layout.tokens(), H]} F32
   */
  FeaturePacking(TileLayout layout, Tensor out) {
    this.layout = layout;
    this.kept = layout.kept();
    this.out = out;
  }

  /** Writes the newlines. */
  void newlines(Tensor newline) {
    for (int row = 0; row < kept.height(); row++) {
      out.select(0, rowStart(row) + kept.width()).copyFrom(newline);
    }
  }

  /**
   * Writes the rows of a tile.
   *
   * @param rows {@code [cells, H]}, row by row of patches
   */
  void tile(int tile, Tensor rows) {
    int side = layout.cellsPerSide();
    if (tile == 0) {
      out.narrow(0, 0, rows.size(0)).copyFrom(rows);
      return;
    }
    int left = (tile - 1) % layout.tilesWide() * side;
    int top = (tile - 1) / layout.tilesWide() * side;
    int first = Math.max(left, kept.left());
    int count = Math.min(left + side, kept.left() + kept.width()) - first;
    for (int y = 0; y < side && count > 0; y++) {
      int row = top + y - kept.top();
      if (row >= 0 && row < kept.height()) {
        out.narrow(0, rowStart(row) + first - kept.left(), count)
            .copyFrom(rows.narrow(0, (long) y * side + first - left, count));
      }
    }
  }

  /** Where a kept row of the grid begins. */
  private long rowStart(int row) {
    return (long) layout.cellsPerSide() * layout.cellsPerSide() + (long) row * (kept.width() + 1);
  }
}

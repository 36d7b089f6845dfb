package io.github.lightning4j.minimax.vision;

/**
 * Where the pixels of a picture go, and which of its tokens stay.
 *
 * <p>The picture, resized with its aspect kept, lies centred on a black canvas that is cut into
 * square tiles, row by row. Tile 0 is the whole picture once more, resized to one tile without
 * keeping its aspect. A tile has {@code cellsPerSide^2} tokens, one a patch; those of the canvas
 * form one grid, of which the rows or columns of black border are dropped again.
 *
 * @param image the size of the picture
 * @param canvas the size of the canvas, a multiple of the tile
 * @param resized the size of the picture on the canvas
 * @param tile pixels of a tile's side
 * @param patch pixels of a patch's side
 */
public record TileLayout(
    Resolution image, Resolution canvas, Resolution resized, int tile, int patch) {

  /**
   * A part of the grid of tokens.
   *
   * @param left columns before it
   * @param top rows above it
   * @param width its columns, possibly 0
   * @param height its rows, possibly 0
   */
  public record Cells(int left, int top, int width, int height) {}

  /** Pixels of canvas left of the picture. */
  public int left() {
    return (canvas.width() - resized.width()) / 2;
  }

  /** Pixels of canvas above the picture. */
  public int top() {
    return (canvas.height() - resized.height()) / 2;
  }

  /** Tiles side by side on the canvas. */
  public int tilesWide() {
    return canvas.width() / tile;
  }

  /** Tiles one above the other on the canvas. */
  public int tilesHigh() {
    return canvas.height() / tile;
  }

  /** All tiles, the whole picture's included. */
  public int tiles() {
    return 1 + tilesWide() * tilesHigh();
  }

  /** Tokens along a side of a tile. */
  public int cellsPerSide() {
    return tile / patch;
  }

  /** Columns of the grid. */
  public int gridWidth() {
    return tilesWide() * cellsPerSide();
  }

  /** Rows of the grid. */
  public int gridHeight() {
    return tilesHigh() * cellsPerSide();
  }

  /**
   * The part of the grid that the picture covers: the border is {@code floor((grid - covered) / 2)}
   * on both sides, so an odd difference keeps one row or column more. A very thin picture may keep
   * none.
   */
  public Cells kept() {
    long width = gridWidth();
    long height = gridHeight();
    double aspect = image.width() / (double) image.height();
    if (aspect > width / (double) height) {
      int border = (int) ((height - image.height() * width / image.width()) / 2);
      return new Cells(0, border, gridWidth(), gridHeight() - 2 * border);
    }
    int border = (int) ((width - image.width() * height / image.height()) / 2);
    return new Cells(border, 0, gridWidth() - 2 * border, gridHeight());
  }

  /**
   * Tokens the picture takes in a prompt: those of tile 0, then each kept row of the grid and a
   * newline behind it.
   */
  public int tokens() {
    Cells kept = kept();
    return cellsPerSide() * cellsPerSide() + kept.height() * (kept.width() + 1);
  }
}

package io.github.lightning4j.minimax.vision;

/** The tiles of a picture, of 8 bits a channel; tile 0 is the whole of it. */
public final class ImageTiles {
  private final TileLayout layout;
  private final byte[] pixels;

  private ImageTiles(TileLayout layout) {
    this.layout = layout;
    int side = layout.tile();
    this.pixels = new byte[Math.multiplyExact(3 * side * side, layout.tiles())];
  }

  /** Resizes and cuts a picture. */
  static ImageTiles of(RgbImage image, TileLayout layout) {
    ImageTiles tiles = new ImageTiles(layout);
    int side = layout.tile();
    tiles.paste(Bicubic.resize(image, new Resolution(side, side)), 0, 0, 0, 1);
    tiles.paste(
        Bicubic.resize(image, layout.resized()),
        layout.left(),
        layout.top(),
        1,
        layout.tilesWide());
    return tiles;
  }

  /** How they lie. */
  public TileLayout layout() {
    return layout;
  }

  /** A copy of {@code [tiles, 3, tile, tile]} unsigned bytes. */
  public byte[] pixels() {
    return pixels.clone();
  }

  /** A pixel's level, 0 to 255. */
  public int level(int tile, int channel, int y, int x) {
    int side = layout.tile();
    return pixels[((tile * 3 + channel) * side + y) * side + x] & 0xff;
  }

  /** Puts a picture on the canvas that starts with tile {@code first}. */
  private void paste(RgbImage image, int left, int top, int first, int tilesWide) {
    int side = layout.tile();
    byte[] rgb = image.pixels();
    int from = 0;
    for (int y = 0; y < image.size().height(); y++) {
      int row = top + y;
      for (int x = 0; x < image.size().width(); x++) {
        int column = left + x;
        int tile = first + row / side * tilesWide + column / side;
        int at = (tile * 3 * side + row % side) * side + column % side;
        for (int channel = 0; channel < 3; channel++) {
          pixels[at + channel * side * side] = rgb[from++];
        }
      }
    }
  }
}

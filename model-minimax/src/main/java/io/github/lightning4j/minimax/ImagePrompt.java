package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.InsertedRows;
import io.github.lightning4j.minimax.vision.RgbImage;
import io.github.lightning4j.minimax.vision.TileLayout;
import io.github.lightning4j.minimax.vision.VisionConfig;
import io.github.lightning4j.vlmquant.TokenClass;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * A prompt with pictures, ready to be read by any session of its model: the pictures have been
 * through the vision tower, and each placeholder stands as often as its picture has rows.
 *
 * <pre>{@code
 * try (ImagePrompt prompt = generator.imagePrompt("<image>What is this?", List.of(picture))) {
 *   generator.generate(prompt, options, listener);
 * }
 * }</pre>
 *
 * <p>Immutable; may be read by several sessions at once. It holds {@code 4 H} bytes outside the
 * heap for each token of a picture until it is closed, which must not be before those that read it
 * are done with it.
 */
public final class ImagePrompt implements AutoCloseable {
  /** What stands for a picture in the text of a prompt. */
  public static final String PLACEHOLDER = "<image>";

  private final MiniMaxModel model;
  private final int[] ids;
  private final int[] places;
  private final @Nullable Tensor rows;

  private ImagePrompt(MiniMaxModel model, int[] ids, int[] places, @Nullable Tensor rows) {
    this.model = model;
    this.ids = ids;
    this.places = places;
    this.rows = rows;
  }

  /** See {@link MiniMaxModel#imagePrompt}. */
  static ImagePrompt of(MiniMaxModel model, int[] ids, List<RgbImage> images) {
    VisionConfig vision = model.vision().orElse(null);
    if (vision == null) {
      checkArgument(
          images.isEmpty(),
          "images: expected none, since %s reads text only, got %s",
          model.folder(),
          images.size());
      return new ImagePrompt(model, ids.clone(), new int[0], null);
    }
    int token = vision.imageToken();
    long placeholders = Arrays.stream(ids).filter(id -> id == token).count();
    checkArgument(
        placeholders == images.size(),
        "images: expected one for each of %s placeholders (%s, token %s) of the prompt, got %s",
        placeholders,
        PLACEHOLDER,
        token,
        images.size());
    List<TileLayout> layouts = new ArrayList<>();
    images.forEach(image -> layouts.add(vision.preprocessor().layout(image.size())));
    int[] expanded = expand(ids, token, layouts);
    TokenIds.check(model.config(), 0, expanded);
    int[] places = IntStream.range(0, expanded.length).filter(i -> expanded[i] == token).toArray();
    Tensor rows = images.isEmpty() ? null : encode(model, images, layouts, places.length);
    return new ImagePrompt(model, expanded, places, rows);
  }

  private static int[] expand(int[] ids, int token, List<TileLayout> layouts) {
    long tokens = layouts.stream().mapToLong(TileLayout::tokens).sum();
    int[] expanded = new int[Math.toIntExact(ids.length - layouts.size() + tokens)];
    int at = 0;
    int image = 0;
    for (int id : ids) {
      int count = id == token ? layouts.get(image++).tokens() : 1;
      Arrays.fill(expanded, at, at + count, id);
      at += count;
    }
    return expanded;
  }

  private static Tensor encode(
      MiniMaxModel model, List<RgbImage> images, List<TileLayout> layouts, int count) {
    Tensor rows = Tensor.allocate(DType.F32, count, model.config().hiddenSize());
    try {
      long at = 0;
      for (int i = 0; i < images.size(); i++) {
        int tokens = layouts.get(i).tokens();
        model.encode(images.get(i), rows.narrow(0, at, tokens));
        at += tokens;
      }
      return rows;
    } catch (RuntimeException | Error e) {
      rows.close();
      throw e;
    }
  }

  /** A copy of the tokens, each placeholder as often as its picture has rows. */
  public int[] ids() {
    return ids.clone();
  }

  /** Which tokens stand for pictures: VISUAL or TEXT for each. */
  public TokenClass[] classes() {
    TokenClass[] classes = new TokenClass[ids.length];
    Arrays.fill(classes, TokenClass.TEXT);
    Arrays.stream(places).forEach(at -> classes[at] = TokenClass.VISUAL);
    return classes;
  }

  /** The number of tokens. */
  public int length() {
    return ids.length;
  }

  /**
   * This, once it is sure that sessions of a model can read it.
   *
   * @throws IllegalArgumentException if it is of another model
   * @throws IllegalStateException if it is closed
   */
  ImagePrompt readBy(MiniMaxModel reader) {
    checkArgument(reader == model, "prompt: expected one of this model, %s", reader.folder());
    checkState(rows == null || !rows.isClosed(), "image prompt is closed");
    return this;
  }

  /** What stands for its tokens behind others; null: nothing but their own embeddings. */
  @Nullable InsertedRows rowsBehind(long position) {
    return rows == null
        ? null
        : new InsertedRows(Arrays.stream(places).mapToLong(at -> at + position).toArray(), rows);
  }

  /**
   * Frees the rows.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    if (rows != null) {
      rows.close();
    }
  }
}

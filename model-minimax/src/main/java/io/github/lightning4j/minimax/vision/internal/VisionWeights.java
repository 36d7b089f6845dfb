package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.Tensor;
import java.util.List;

/**
 * The weights that turn tiles into rows of embeddings. Matrices are views of the checkpoint in the
 * type they are stored in; vectors and positions are widened to F32.
 *
 * @param patches {@code [C, 3 p p]}, the convolution over patches
 * @param classToken {@code [C]}
 * @param positions {@code [1 + P, C]}
 * @param preNorm of what goes into the first layer
 * @param layers first to last
 * @param projector1 from C to H
 * @param projector2 from H to H
 * @param newline {@code [H]}, the embedding at the end of each row of a grid
 */
public record VisionWeights(
    Tensor patches,
    Tensor classToken,
    Tensor positions,
    Norm preNorm,
    List<Layer> layers,
    Linear projector1,
    Linear projector2,
    Tensor newline) {

  /**
   * A layer norm.
   *
   * @param weight {@code [C]} F32
   * @param bias {@code [C]} F32
   */
  public record Norm(Tensor weight, Tensor bias) {}

  /**
   * A linear layer.
   *
   * @param weight {@code [N, K]}, F32, BF16 or F16
   * @param bias {@code [N]} F32
   */
  public record Linear(Tensor weight, Tensor bias) {}

  /**
   * A layer of the tower.
   *
   * @param norm1 before the attention
   * @param query {@code [C, C]}
   * @param key {@code [C, C]}
   * @param value {@code [C, C]}
   * @param out {@code [C, C]}
   * @param norm2 before the two products
   * @param up {@code [I, C]}
   * @param down {@code [C, I]}
   */
  public record Layer(
      Norm norm1,
      Linear query,
      Linear key,
      Linear value,
      Linear out,
      Norm norm2,
      Linear up,
      Linear down) {}
}

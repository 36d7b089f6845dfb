package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The hyperparameters of a MiniMax text model, in one form for both published dialects.
 *
 * @param dialect who wrote the file; decides the slope formula
 * @param vocabSize V
 * @param hiddenSize H
 * @param layers the kind of attention of each layer, first to last
 * @param attention heads and rotary embedding
 * @param experts the mixture of experts
 * @param residuals how residual and branch are weighted
 * @param rmsNormEps epsilon of the layer norms and the final norm
 * @param maxPositions the context length
 * @param tiedEmbeddings whether the head is the embedding table
 * @param eosTokens tokens that end a text, where the file names any
 */
public record MiniMaxConfig(
    Dialect dialect,
    int vocabSize,
    int hiddenSize,
    List<LayerKind> layers,
    AttentionConfig attention,
    ExpertConfig experts,
    ResidualConfig residuals,
    double rmsNormEps,
    int maxPositions,
    boolean tiedEmbeddings,
    List<Integer> eosTokens) {

  /**
   * Epsilon of the norm inside a lightning layer. No config has it: the released model code and
   * transformers both fix it.
   */
  public static final double INNER_NORM_EPS = 1e-6;

  /** Who wrote the config. */
  public enum Dialect {
    /** The released checkpoints: model types {@code minimax_m1}, {@code minimax_text_01}. */
    ORIGINAL,
    /** The transformers library: model type {@code minimax}. */
    TRANSFORMERS
  }

  /** The attention of a layer. */
  public enum LayerKind {
    /** Linear attention with per-head decay. */
    LIGHTNING,
    /** Softmax attention with grouped key-value heads and rotary embedding. */
    SOFTMAX
  }

  /**
   * Heads and rotary embedding.
   *
   * @param heads query heads, and heads of the lightning layers
   * @param kvHeads key-value heads of the softmax layers; divides {@code heads}
   * @param headDim channels a head
   * @param rotaryDim channels of a head that are rotated, from the first on; even
   * @param ropeTheta the base of the rotary frequencies
   */
  public record AttentionConfig(
      int heads, int kvHeads, int headDim, int rotaryDim, double ropeTheta) {
    /** Checks ranges and divisibility. */
    public AttentionConfig {
      checkArgument(heads >= 1, "num_attention_heads: expected >= 1, got %s", heads);
      checkArgument(
          kvHeads >= 1 && heads % kvHeads == 0,
          "num_key_value_heads: expected a divisor of %s, got %s",
          heads,
          kvHeads);
      checkArgument(headDim >= 1, "head_dim: expected >= 1, got %s", headDim);
      checkArgument(
          rotaryDim >= 2 && rotaryDim <= headDim && rotaryDim % 2 == 0,
          "rotary_dim: expected an even number up to head_dim = %s, got %s",
          headDim,
          rotaryDim);
      checkArgument(ropeTheta > 0, "rope_theta: expected > 0, got %s", ropeTheta);
    }

    /** {@code heads * headDim}, the width of the attention output. */
    public int width() {
      return heads * headDim;
    }

    /** {@code kvHeads * headDim}. */
    public int kvWidth() {
      return kvHeads * headDim;
    }
  }

  /**
   * The mixture of experts.
   *
   * @param experts E
   * @param expertsPerToken K
   * @param intermediateSize channels inside an expert
   * @param sharedIntermediateSize channels inside the shared expert; 0 if there is none
   */
  public record ExpertConfig(
      int experts, int expertsPerToken, int intermediateSize, int sharedIntermediateSize) {
    /** Checks ranges. */
    public ExpertConfig {
      checkArgument(experts >= 1, "num_local_experts: expected >= 1, got %s", experts);
      checkArgument(
          expertsPerToken >= 1 && expertsPerToken <= experts,
          "num_experts_per_tok: expected 1 to %s, got %s",
          experts,
          expertsPerToken);
      checkArgument(
          intermediateSize >= 1, "intermediate_size: expected >= 1, got %s", intermediateSize);
      checkArgument(
          sharedIntermediateSize >= 0,
          "shared_intermediate_size: expected >= 0, got %s",
          sharedIntermediateSize);
    }
  }

  /**
   * The weights of residual and branch: {@code y = alpha * residual + beta * branch}.
   *
   * @param alpha weight of the residual
   * @param beta weight of the branch
   */
  public record Mix(double alpha, double beta) {}

  /**
   * How residual and branch are joined.
   *
   * @param postNorm whether the residual is the normed input of the branch (the released models) or
   *     the input before the norm
   * @param lightning after a lightning attention
   * @param softmax after a softmax attention
   * @param mlp after the mixture of experts
   */
  public record ResidualConfig(boolean postNorm, Mix lightning, Mix softmax, Mix mlp) {}

  /** Checks ranges. */
  public MiniMaxConfig {
    layers = List.copyOf(layers);
    eosTokens = List.copyOf(eosTokens);
    checkArgument(vocabSize >= 1, "vocab_size: expected >= 1, got %s", vocabSize);
    checkArgument(hiddenSize >= 1, "hidden_size: expected >= 1, got %s", hiddenSize);
    checkArgument(!layers.isEmpty(), "num_hidden_layers: expected >= 1, got 0");
    checkArgument(rmsNormEps >= 0, "rms_norm_eps: expected >= 0, got %s", rmsNormEps);
    checkArgument(
        maxPositions >= 1, "max_position_embeddings: expected >= 1, got %s", maxPositions);
  }

  /**
   * Reads {@code config.json} of a checkpoint folder.
   *
   * @throws io.github.lightning4j.core.CheckpointException if it is missing, broken, of an unknown
   *     dialect, or asks for something this model does not do; the message names the key
   */
  public static MiniMaxConfig load(Path folder) {
    return ConfigReader.read(folder.resolve("config.json"));
  }

  /**
   * The first layers of the released MiniMax-M1, whose text model is that of MiniMax-Text-01 with a
   * longer context: seven of eight are lightning layers.
   *
   * @param layers how many, of 80
   */
  public static MiniMaxConfig m1(int layers) {
    checkArgument(layers >= 1 && layers <= 80, "layers: expected 1 to 80, got %s", layers);
    Mix mix = new Mix(3.5565588200778455, 1);
    return new MiniMaxConfig(
        Dialect.ORIGINAL,
        200_064,
        6144,
        IntStream.range(0, layers)
            .mapToObj(i -> i % 8 == 7 ? LayerKind.SOFTMAX : LayerKind.LIGHTNING)
            .toList(),
        new AttentionConfig(64, 8, 128, 64, 1e7),
        new ExpertConfig(32, 2, 9216, 0),
        new ResidualConfig(true, mix, mix, mix),
        1e-5,
        10_240_000,
        false,
        List.of());
  }

  /** The number of layers of a kind. */
  public int count(LayerKind kind) {
    return (int) layers.stream().filter(kind::equals).count();
  }

  /** Bytes the lightning states of one sequence take; constant in its length. */
  public long stateBytes() {
    return 4L
        * count(LayerKind.LIGHTNING)
        * attention.heads()
        * attention.headDim()
        * attention.headDim();
  }

  /** Bytes the key-value caches take for each token, with elements of this many bytes. */
  public long kvBytesPerToken(int elementBytes) {
    return 2L * elementBytes * count(LayerKind.SOFTMAX) * attention.kvWidth();
  }
}

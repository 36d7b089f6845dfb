package io.github.lightning4j.nd4j.example;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.Gradients;
import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.attention.Prefill;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.nd4j.Nd4jTensors;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.samediff.TrainingConfig;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;

/**
 * Trains a model of which SameDiff has all but the sequence mixer, which is lightning attention.
 *
 * <p>The task is recall: a row shows {@link #PAIRS} pairs of a key and a value, then each key
 * again, and asks for its value. No token holds both the question and the answer, so a model that
 * forgets can only guess.
 *
 * <pre>
 * qkv = x wIn         SameDiff            loss = cross entropy of mixed wOut
 * mixed = attention(qkv)    lightning     dQkv = attention'(qkv, d loss / d mixed)
 * carried = sum(qkv * dQkv)               d carried / d wIn = d loss / d wIn
 * </pre>
 *
 * <p>{@code carried} hands the gradient back to SameDiff: dQkv is a constant there, so by the chain
 * rule its derivative is what the loss lacks, the part that goes through the operator. (SameDiff
 * has ExternalErrorsFunction for this; that of ND4J 1.0.0-M2.1 gives twice the gradient.)
 */
final class RecallExample {
  static final int ROWS = 16;
  static final int PAIRS = 6;
  static final int TOKENS = 2 * PAIRS;
  static final int SYMBOLS = 8;
  private static final int HEADS = 2;
  private static final int DIM = 8;

  /** {@code x [ROWS TOKENS, 2 SYMBOLS]}, one-hot key and value; targets one-hot or 0 for none. */
  record Batch(INDArray x, INDArray targets) {}

  private final LightningAttention attention = LightningAttention.best();
  private final SameDiff graph = SameDiff.create();
  private final Decay decay;

  RecallExample(Decay decay, long seed) {
    this.decay = decay;
    Nd4j.getRandom().setSeed(seed);
    SDVariable x = graph.placeHolder("x", DataType.FLOAT, ROWS * TOKENS, 2 * SYMBOLS);
    SDVariable wIn = graph.var("wIn", normal(2 * SYMBOLS, HEADS * 3 * DIM));
    SDVariable qkv = x.mmul(wIn).reshape(ROWS, TOKENS, HEADS, 3 * DIM).rename("qkv");
    SDVariable dQkv = graph.placeHolder("dQkv", DataType.FLOAT, ROWS, TOKENS, HEADS, 3 * DIM);
    SDVariable carried = qkv.mul(dQkv).sum("carried");

    SDVariable mixed = graph.placeHolder("mixed", DataType.FLOAT, ROWS, TOKENS, HEADS, DIM);
    SDVariable targets = graph.placeHolder("targets", DataType.FLOAT, ROWS * TOKENS, SYMBOLS);
    SDVariable wOut = graph.var("wOut", normal(HEADS * DIM, SYMBOLS));
    SDVariable logits = mixed.reshape(ROWS * TOKENS, HEADS * DIM).mmul(wOut);
    SDVariable hits = graph.nn().logSoftmax(logits).mul(targets).sum();
    SDVariable loss = hits.div(-ROWS * PAIRS).rename("loss");

    graph.setLossVariables(loss, carried);
    graph.createGradFunction("mixed"); // a placeholder has a gradient only if asked for here
    graph.setTrainingConfig(
        TrainingConfig.builder()
            .updater(new Adam(0.02))
            .dataSetFeatureMapping("x", "mixed", "dQkv")
            .dataSetLabelMapping("targets")
            .build());
  }

  private static INDArray normal(int rows, int columns) {
    return Nd4j.randn(DataType.FLOAT, rows, columns).muli(Math.sqrt(1.0 / rows));
  }

  // snippet
  /** One step of Adam. */
  void step(Batch batch) {
    Map<String, INDArray> fed = feed(batch);
    graph.fit(
        new MultiDataSet(
            new INDArray[] {fed.get("x"), fed.get("mixed"), fed.get("dQkv")},
            new INDArray[] {fed.get("targets")}));
  }

  /**
   * All that SameDiff needs for its gradients: what the operator gives, and what it passes back.
   */
  Map<String, INDArray> feed(Batch batch) {
    Map<String, INDArray> fed = new HashMap<>(Map.of("x", batch.x(), "targets", batch.targets()));
    INDArray qkv = graph.output(fed, "qkv").get("qkv");
    fed.put("mixed", mix(qkv));
    INDArray dMixed = graph.calculateGradients(fed, "mixed").get("mixed");
    fed.put("dQkv", mixBackward(qkv, dMixed));
    return fed;
  }

  /** The operator reads and writes the memory of the arrays. */
  private INDArray mix(INDArray qkv) {
    INDArray mixed = Nd4j.create(DataType.FLOAT, ROWS, TOKENS, HEADS, DIM);
    Tensor in = Nd4jTensors.toTensor(qkv);
    Tensor out = Nd4jTensors.toTensor(mixed);
    try (Tensor state = Tensor.allocate(DType.F32, ROWS, HEADS, DIM, DIM)) {
      attention.prefill(part(in, 0), part(in, 1), part(in, 2), decay, Options.DEFAULT, state, out);
    }
    return mixed;
  }

  private INDArray mixBackward(INDArray qkv, INDArray dMixed) {
    INDArray dQkv = Nd4j.create(DataType.FLOAT, ROWS, TOKENS, HEADS, 3 * DIM);
    Tensor in = Nd4jTensors.toTensor(qkv);
    Tensor dOut = Nd4jTensors.toTensor(dMixed);
    Tensor dIn = Nd4jTensors.toTensor(dQkv);
    attention.backward(
        new Prefill(part(in, 0), part(in, 1), part(in, 2), decay, Options.DEFAULT, dOut),
        new Gradients(dOut).outDq(part(dIn, 0)).outDkDv(part(dIn, 1), part(dIn, 2)));
    return dQkv;
  }

  /** q, k or v of a fused projection: a view. */
  private static Tensor part(Tensor qkv, int index) {
    return qkv.narrow(3, index * DIM, DIM);
  }

  // end of snippet

  double loss(Batch batch) {
    Map<String, INDArray> fed = new HashMap<>(Map.of("x", batch.x(), "targets", batch.targets()));
    fed.put("mixed", mix(graph.output(fed, "qkv").get("qkv")));
    return graph.output(fed, "loss").get("loss").getDouble(0);
  }

  SameDiff graph() {
    return graph;
  }

  static Batch batch(Random random) {
    INDArray x = Nd4j.zeros(DataType.FLOAT, ROWS * TOKENS, 2 * SYMBOLS);
    INDArray targets = Nd4j.zeros(DataType.FLOAT, ROWS * TOKENS, SYMBOLS);
    for (int row = 0; row < ROWS; row++) {
      int[] keys = random.ints(0, SYMBOLS).distinct().limit(PAIRS).toArray();
      for (int i = 0; i < PAIRS; i++) {
        int shown = row * TOKENS + i;
        int asked = shown + PAIRS;
        int value = random.nextInt(SYMBOLS);
        x.putScalar(shown, keys[i], 1).putScalar(shown, SYMBOLS + value, 1);
        x.putScalar(asked, keys[i], 1);
        targets.putScalar(asked, value, 1);
      }
    }
    return new Batch(x, targets);
  }

  public static void main(String[] args) {
    RecallExample model = new RecallExample(Decay.ofSlopes(Slopes.alibi(HEADS)), 1);
    Random random = new Random(1);
    Batch unseen = batch(random);
    for (int step = 0; step <= 300; step++) {
      if (step % 50 == 0) {
        System.out.printf("step %3d  loss %.4f%n", step, model.loss(unseen));
      }
      model.step(batch(random));
    }
  }
}

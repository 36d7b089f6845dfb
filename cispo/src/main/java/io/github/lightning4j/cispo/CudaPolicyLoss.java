package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.cispo.internal.CudaLoss;
import io.github.lightning4j.cispo.internal.CudaLoss.Kind;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;

/**
 * A {@link PolicyLoss} of one batch on a GPU: log-probabilities in, as {@link
 * io.github.lightning4j.cispo.head.CudaFusedHead} writes them, and their gradient out, as it reads
 * it; nothing goes through the host between.
 *
 * <p>What does not change between the updates on a rollout is copied to the GPU once: old and
 * reference log-probabilities, advantages, importance, the mask, and the weights of the {@link
 * Aggregation}, so that {@linkplain TokenBatch#within parts} of a batch add up as on the CPU. Token
 * t of sequence i is element {@code length(0) + ... + length(i - 1) + t}; the batch's own
 * log-probabilities are not used.
 *
 * <p><b>Numerics.</b> The formulas of the CPU in double, sums by sequences and then over them in
 * one order: the same bits always. Nobody on a GPU can be told of a log-probability that is not
 * finite: it is in the gradient, or in the loss, which {@link #loss} then refuses.
 *
 * <p><b>Cost.</b> Two launches, a block of 256 threads a sequence, 32 to 48 bytes a token; memory
 * of 24 to 40 bytes a token and 156 a sequence. Its owner closes it, after the work that uses it.
 */
public final class CudaPolicyLoss implements AutoCloseable {
  private final MemoryScope scope = new MemoryScope();
  private final CudaStream stream;
  private final CudaLoss.Form form;
  private final CudaLoss.Tables tables;
  private final DiagnosticsSum diagnostics;
  private final long tokens;
  private boolean evaluated;
  private boolean closed;

  private CudaPolicyLoss(CudaStream stream, PolicyLoss loss, TokenBatch batch) {
    this.stream = stream;
    form = form(loss);
    diagnostics = new DiagnosticsSum(batch);
    double[] weights = loss.aggregation().weights(batch);
    int[] offsets = new int[batch.sequences() + 1];
    for (int i = 0; i < batch.sequences(); i++) {
      offsets[i + 1] = Math.addExact(offsets[i], batch.length(i));
    }
    tokens = offsets[batch.sequences()];
    try {
      tables =
          new CudaLoss.Tables(
              up(Tensor.of(offsets, offsets.length)),
              up(batch, batch::oldLogProb),
              up(batch, batch::advantage),
              up(batch, (i, t) -> weights[i]),
              batch.hasImportance() ? up(batch, batch::importance) : null,
              batch.hasReference() ? up(batch, batch::reference) : null,
              allocate(DType.F64, batch.sequences(), CudaLoss.SUMS),
              allocate(DType.F64, CudaLoss.SUMS));
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  /**
   * Copies a batch to the stream's GPU and waits until it is there.
   *
   * @throws IllegalArgumentException if no token of the whole counts, there is a KL penalty but the
   *     batch has no reference log-probabilities, a sequence is too long for the aggregation, or
   *     groups are missing
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException with what was asked for and
   *     what is free; nothing is left allocated
   */
  public static CudaPolicyLoss of(CudaStream stream, PolicyLoss loss, TokenBatch batch) {
    LossSum.check(batch, loss.klWeight());
    CudaPolicyLoss there = new CudaPolicyLoss(stream, loss, batch);
    for (int i = 0; i < batch.sequences(); i++) {
      for (int t = 0; t < batch.length(i); t++) {
        if (batch.counts(i, t)) {
          there.diagnostics.count(i, t);
        }
      }
    }
    return there;
  }

  private static CudaLoss.Form form(PolicyLoss loss) {
    double kl = loss.klWeight();
    if (loss instanceof Cispo of) {
      return new CudaLoss.Form(
          Kind.CISPO,
          false,
          kl,
          of.positive().lower(),
          of.positive().upper(),
          of.negative().lower(),
          of.negative().upper(),
          of.trustRegion().lower(),
          of.trustRegion().upper());
    }
    if (loss instanceof ClippedSurrogate of) {
      boolean ofSequences = of.level() == RatioLevel.SEQUENCE;
      return new CudaLoss.Form(Kind.CLIPPED, ofSequences, kl, of.clip().lower(), of.clip().upper());
    }
    Sapo of = (Sapo) loss;
    return new CudaLoss.Form(Kind.SAPO, false, kl, of.positive(), of.negative());
  }

  /** What a table says of a token. */
  private interface Column {
    double at(int sequence, int position);
  }

  /** A column of all tokens, 0 where one does not count. */
  private Tensor up(TokenBatch batch, Column column) {
    double[] values = new double[Math.toIntExact(tokens)];
    int to = 0;
    for (int i = 0; i < batch.sequences(); i++) {
      for (int t = 0; t < batch.length(i); t++) {
        values[to++] = batch.counts(i, t) ? column.at(i, t) : 0;
      }
    }
    Tensor host = Tensor.allocate(DType.F64, tokens);
    for (int t = 0; t < values.length; t++) {
      host.accessor().set(t, values[t]);
    }
    return up(host);
  }

  private Tensor up(Tensor host) {
    try (host) {
      Tensor there = allocate(host.dtype(), host.shape());
      stream.copy(host, there);
      stream.synchronize();
      return there;
    }
  }

  private Tensor allocate(DType type, long... shape) {
    long bytes = type.bytes();
    for (long size : shape) {
      bytes = Math.multiplyExact(bytes, size);
    }
    return scope.add(Tensor.wrap(CudaMemory.allocate(stream.device(), bytes), 0, type, shape));
  }

  /**
   * Puts the loss and its gradient on the stream, and returns. Can be part of a {@link
   * io.github.lightning4j.core.cuda.CudaGraph}; the first call compiles kernels.
   *
   * @param logProb {@code [T]} F32 on the GPU: of the policy that learns; what stands where a token
   *     does not count is not read
   * @param outDLogProb {@code [T]} F32: gets {@code dloss / dlogProb}, 0 for tokens that do not
   *     count
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or they overlap
   * @throws IllegalStateException if this or a tensor is closed
   */
  public void evaluate(Tensor logProb, Tensor outDLogProb) {
    checkOpen();
    check("logProb", logProb);
    check("outDLogProb", outDLogProb);
    Checks.writable("outDLogProb", outDLogProb);
    checkArgument(
        !Checks.overlap(outDLogProb, logProb),
        "outDLogProb: expected memory of its own, got an overlap with logProb");
    CudaLoss.run(stream, form, tables, logProb, outDLogProb);
    evaluated = true;
  }

  private void check(String name, Tensor tensor) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, DType.F32);
    Checks.shape(name, tensor, tokens);
    Checks.contiguous(name, tensor);
  }

  /**
   * The value of the loss at its last evaluation; waits for the stream.
   *
   * @throws IllegalArgumentException if it is not finite: a log-probability was not, or ratios and
   *     advantages overflow
   * @throws IllegalStateException if nothing was evaluated, or this is closed
   */
  public double loss() {
    return LossSum.checked(sums()[0]);
  }

  /**
   * What the loss saw at its last evaluation; waits for the stream.
   *
   * @throws IllegalStateException if nothing was evaluated, or this is closed
   */
  public Diagnostics diagnostics() {
    return diagnostics.with(sums());
  }

  private double[] sums() {
    checkOpen();
    checkState(evaluated, "a loss on %s: expected an evaluation first", stream.device());
    try (Tensor host = Tensor.allocate(DType.F64, CudaLoss.SUMS)) {
      stream.copy(tables.sums(), host);
      stream.synchronize();
      return host.toDoubles();
    }
  }

  private void checkOpen() {
    checkState(!closed, "a loss on %s is closed", stream.device());
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkOpen();
    closed = true;
    scope.close();
  }
}

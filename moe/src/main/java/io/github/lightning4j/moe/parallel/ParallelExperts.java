package io.github.lightning4j.moe.parallel;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.internal.ExpertKernels;
import io.github.lightning4j.moe.internal.MoeLibrary;
import java.util.List;
import java.util.function.Supplier;

/**
 * A mixture of experts that lie on several ranks. Every rank brings tokens of its own, and gets
 * their outputs; the ranks need not have equally many, and may have none.
 *
 * <pre>
 *   dispatch   the row of each kept pair (t, j) goes to the ETP ranks of its expert: counts, then rows
 *   experts    y = W2 (silu(W1 x) * (W3 x)) of each rank's part of each of its experts
 *   combine    out[t] = sum_j sum_p weight[t, j] y_p      of choice j and ETP part p, in this order
 * </pre>
 *
 * <p>Numerics: what a {@link io.github.lightning4j.moe.MixtureOfExperts} over the tokens of all
 * ranks of one EDP repetition, in the order of ranks, would give. The rows of an expert come
 * together in that order, and in one piece if there are no more token groups than experts on a
 * rank, so the same kernels see the same rows; rows travel in fp32; the answers are added at the
 * token's rank in the order of its choices. So with ETP = 1 and one replica of each expert, outputs
 * and gradients have the bits of the single rank on the CPU.
 *
 * <p>Elsewhere they are the same from run to run, and agree to rounding (a normalized mean square
 * error of about 1e-13, with weights of 8 bits 1e-8, of 4 bits 1e-4): with ETP above 1 the sum over
 * I is cut into ETP parts, which are added in the order of ranks; with replicas, a global router or
 * more token groups an expert's rows are computed in other portions, for which another kernel may
 * be chosen; and the reference rounds each answer to fp32 for its way back, where a single rank
 * adds in double.
 *
 * <p>Cost: each kept pair is sent and comes back once for each ETP rank, {@code 8 H ETP} bytes.
 * With a warm workspace a call allocates nothing outside the heap, but with a capacity.
 *
 * <p>All ranks call the same methods in the same order, each from one thread at a time. If a rank
 * fails, all others get a {@link RankFailedException} naming it; the memory of the workspace is
 * then kept until the process ends. A rank that refuses its arguments tells those it would exchange
 * tokens with, which get a {@link RankMismatchException} with its reason; nothing has moved then,
 * and the layer can be used further. Source: MiniMax-01 (arXiv 2501.08313); GShard (arXiv
 * 2006.16668) for the two exchanges.
 */
public final class ParallelExperts implements AutoCloseable {
  private final int etp;
  private final LocalShapes shapes;
  private final ExpertLayout layout;
  private final int tokenGroups;
  private final RankGroup ranks;
  private final ExpertKernels kernels = ExpertKernels.of(MoeLibrary.get().preferred());
  private StepTimes times = new StepTimes(0, 0, 0);
  private boolean closed;

  private ParallelExperts(
      RankGroup ranks, ExpertLayout layout, LocalShapes shapes, int tokenGroups) {
    etp = layout.etp();
    this.ranks = ranks;
    this.layout = layout;
    this.shapes = shapes;
    this.tokenGroups = tokenGroups;
  }

  /**
   * Joins the ranks to a layer. First it is checked that all were started alike.
   *
   * @param world all ranks, EP x ETP x EDP; stays the caller's, and open while this is
   * @param sizes how experts lie on them
   * @param experts E, of the whole layer
   * @param local this rank's part, as {@link ExpertParallelism#shard} cuts it, plain or quantized;
   *     stays the caller's
   * @param options what else is chosen
   * @param checkpoint what tells the weights of the layer from others, such as a {@link
   *     CheckpointFingerprint}; the same on all ranks
   * @throws RankMismatchException on every rank, naming those that differ in sizes, options,
   *     shapes, element type or checkpoint
   * @throws IllegalArgumentException if sizes do not divide, telling which do, or the local part
   *     has other shapes than they ask for
   * @throws RankFailedException if a rank has failed
   */
  public static ParallelExperts of(
      Communicator world,
      ExpertParallelism sizes,
      int experts,
      Experts local,
      ParallelOptions options,
      String checkpoint) {
    world.checkSame("expert parallelism", Fingerprint.of(sizes, experts, local, options));
    world.checkSame("checkpoint", Fingerprint.shortened(checkpoint));
    sizes.checkRanks(world.size());
    ReplicaPlacement placement = options.placement();
    if (placement == null) {
      sizes.check(experts, local.intermediate() * sizes.etp());
    } else {
      sizes.checkPlacement(placement, experts);
    }
    ExpertLayout layout = new ExpertLayout(sizes, experts, placement);
    checkArgument(
        local.experts() == layout.perRank(),
        "local: expected the %s experts of this rank, got %s; see ExpertParallelism.shard",
        layout.perRank(),
        local.experts());
    return new ParallelExperts(
        new RankGroup(world, sizes, experts, options),
        layout,
        new LocalShapes(experts, local),
        options.tokenGroups());
  }

  /**
   * Computes the mixture for the tokens of this rank.
   *
   * @param x {@code [T, H]} F32, T of this rank
   * @param index {@code [T, k]} I32, the experts of each token
   * @param weight {@code [T, k]} F32, their shares
   * @param workspace memory of this rank
   * @param out {@code [T, H]} F32, overwritten
   * @throws IllegalArgumentException if types or shapes do not fit, an index is outside {@code [0,
   *     E)}, or {@code out} overlaps another argument
   * @throws IllegalStateException if the layer, the workspace or a tensor is closed
   * @throws RankMismatchException if another rank has refused its arguments
   * @throws RankFailedException if a rank has failed
   */
  public void forward(
      Tensor x, Tensor index, Tensor weight, ParallelWorkspace workspace, Tensor out) {
    Buffers buffers =
        checked(
            "forward",
            () -> {
              shapes.checkForward(x, index, weight, out);
              return workspace.buffers();
            });
    ParallelForward forward = new ParallelForward(kernels, shapes.local(), buffers);
    step(
        tokenGroups,
        index,
        weight,
        workspace,
        (exchange, groups) -> forward.run(x, weight, etp, groups, exchange, out));
  }

  /**
   * The gradients of {@link #forward}, as {@link io.github.lightning4j.moe.MixtureOfExperts} has
   * them; the same capacity drops the same pairs. Gradients of weights are those of this rank's
   * part of its experts from the tokens of this EDP repetition: {@link #sumOverReplicas} adds the
   * others. The forward is computed again; nothing overlaps.
   *
   * @param x as given to {@code forward}
   * @param index as given to {@code forward}
   * @param weight as given to {@code forward}
   * @param dOut {@code [T, H]} F32
   * @param workspace memory of this rank
   * @param outDx {@code [T, H]} F32
   * @param outDWeight {@code [T, k]} F32; 0 for a dropped pair
   * @param outDGate {@code [I / ETP, H]} F32 for each expert of this rank
   * @param outDUp {@code [I / ETP, H]} F32 for each
   * @param outDDown {@code [H, I / ETP]} F32 for each
   * @throws IllegalArgumentException as in {@code forward}, if the weights are quantized, or if a
   *     placement gives an expert several replicas on the EP ranks
   * @throws RankFailedException if a rank has failed
   */
  public void backward(
      Tensor x,
      Tensor index,
      Tensor weight,
      Tensor dOut,
      ParallelWorkspace workspace,
      Tensor outDx,
      Tensor outDWeight,
      List<Tensor> outDGate,
      List<Tensor> outDUp,
      List<Tensor> outDDown) {
    ParallelBackward.Call call =
        new ParallelBackward.Call(x, weight, dOut, outDx, outDWeight, outDGate, outDUp, outDDown);
    Buffers buffers =
        checked(
            "backward",
            () -> {
              checkBackward(index, call);
              return workspace.buffers();
            });
    ExpertWeights plain = shapes.trainable();
    ParallelBackward backward = new ParallelBackward(kernels, buffers);
    step(
        1,
        index,
        weight,
        workspace,
        (exchange, groups) -> backward.run(call, plain, etp, exchange));
  }

  /**
   * Adds the gradients of the same weights over the EDP repetitions, in their order: once a step,
   * behind all micro-batches. Does nothing where EDP is 1.
   *
   * @param gradients contiguous, on every repetition alike; overwritten by their sums
   * @throws RankFailedException if a rank has failed
   */
  public void sumOverReplicas(List<Tensor> gradients) {
    checkState(!closed, "layer is closed");
    Communicator others = ranks.replicas();
    if (others != null) {
      gradients.forEach(others::allReduceSum);
    }
  }

  /** What the last call cost this rank. */
  public StepTimes times() {
    return times;
  }

  /** What a call does with its exchange. */
  @FunctionalInterface
  private interface Step {
    void run(TokenExchange exchange, int groups);
  }

  private void checkBackward(Tensor index, ParallelBackward.Call call) {
    ExpertWeights plain = shapes.trainable();
    checkArgument(
        !layout.hasReplicas(),
        "placement: expected one replica of each expert for gradients, got several; train without"
            + " replicas");
    shapes.checkForward(call.x(), index, call.weight(), call.outDx());
    shapes.checkBackward(index, call, plain);
  }

  /**
   * Checks arguments; if they are wrong, this rank takes part in the first exchange to say so, lest
   * the others wait.
   */
  private <T> T checked(String call, Supplier<T> check) {
    checkState(!closed, "layer is closed");
    try {
      return check.get();
    } catch (RuntimeException e) {
      try {
        ranks.tokens().checkSame(call + " of experts, refused: " + e.getMessage(), "");
      } catch (RuntimeException told) {
        e.addSuppressed(told);
      }
      throw e;
    }
  }

  private void step(
      int groups, Tensor index, Tensor weight, ParallelWorkspace workspace, Step step) {
    Clock clock = new Clock();
    Communicator others = ranks.tokens();
    TokenGroups order = TokenGroups.of(groups, others.size(), layout.perRank());
    boolean agreed = false;
    try {
      int[] repetitions = ranks.repetitions(index, weight, clock);
      Routes routes = Routes.of(index, repetitions, layout, order, others.rank());
      TokenExchange exchange =
          TokenExchange.begin(others, kernels, routes, order, workspace.buffers(), clock);
      agreed = true;
      step.run(exchange, groups);
      times = clock.stop(exchange.arrivals().rows());
    } catch (RuntimeException | Error e) {
      if (agreed || !(e instanceof RankMismatchException)) { // else no rank has moved anything
        workspace.abandon();
        others.fail(e); // they may wait for what this rank will not send
      }
      throw e;
    }
  }

  /**
   * Leaves the layer; the communicator of all ranks stays open.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "layer is closed already");
    closed = true;
    ranks.close();
  }
}

package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** A pass that asks for anything at once: types, packing, slots, snapshots, norm and gate. */
final class RandomPass implements AutoCloseable {
  private static final DType[] TYPES =
      NativeKernels.prefillOnTiles()
          ? new DType[] {DType.F32, DType.F16}
          : new DType[] {DType.F32, DType.BF16, DType.F16};

  final Random random;
  final boolean normed;
  private final Problem p;
  private final boolean packed;
  private final int[] lengths;
  private final int[] slots;
  private final boolean inPlace;
  private final boolean narrowGradients;
  private final int every;
  private final long[] positions;
  private final OutputNorm norm;

  /**
   * Makes one.
   *
   * @param isLong whether sequences have several segments
   */
  RandomPass(long seed, boolean isLong) {
    random = new Random(seed);
    packed = random.nextBoolean();
    lengths =
        random
            .ints(1 + random.nextInt(isLong ? 2 : 4), isLong ? 2000 : 0, isLong ? 7000 : 100)
            .toArray();
    if (!packed) {
      Arrays.fill(lengths, lengths[0]);
    }
    double[] slopes = new double[1 + random.nextInt(isLong ? 2 : 4)];
    for (int h = 0; h < slopes.length; h++) {
      slopes[h] = Math.exp(-8 * random.nextDouble());
    }
    DType in = anyType();
    p =
        new Problem(
            seed,
            in,
            random.nextBoolean() ? in : DType.F32,
            packed ? 1 : lengths.length,
            packed ? Arrays.stream(lengths).sum() : lengths[0],
            1 + random.nextInt(isLong ? 20 : 70),
            isLong ? 20 + random.nextInt(60) : 1 + random.nextInt(130),
            new Options(0.5f, random.nextBoolean()),
            slopes);
    slots = anySlots();
    inPlace = random.nextBoolean();
    narrowGradients = random.nextBoolean();
    every = 1 + random.nextInt(isLong ? 900 : 50);
    positions = random.longs(lengths.length, 0, 70).toArray();
    normed = random.nextBoolean();
    long width = slopes.length * p.v.size(3);
    Tensor gate = normal(11, in, p.v.size(0), p.v.size(1), width);
    norm = new OutputNorm(normal(10, anyType(), width), 1e-3f, random.nextBoolean() ? gate : null);
  }

  private DType anyType() {
    return TYPES[random.nextInt(TYPES.length)];
  }

  /** Some of two more entries than there are sequences, in any order, some skipped. */
  private int[] anySlots() {
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < lengths.length + 2; i++) {
      order.add(random.nextInt(5) == 0 ? -1 : i);
    }
    Collections.shuffle(order, random);
    return order.stream().limit(lengths.length).mapToInt(Integer::intValue).toArray();
  }

  private Tensor normal(long seed, DType type, long... shape) {
    return p.scope.add(Cases.normal(seed, type, shape));
  }

  private Tensor states(long seed, long count) {
    long[] one = p.state.shape();
    return normal(seed, DType.F32, count, one[1], one[2], one[3]);
  }

  private Tensor pool(long seed) {
    return states(seed, lengths.length + 2);
  }

  private Prefill pass(Tensor out, Tensor from, Tensor to) {
    Prefill pass = p.pass(out).initialState(from).finalState(to);
    pass.slots(p.scope.add(Tensor.of(slots, slots.length)));
    if (packed) {
      int[] offsets = new int[lengths.length + 1];
      for (int i = 0; i < lengths.length; i++) {
        offsets[i + 1] = offsets[i] + lengths[i];
      }
      pass.packed(p.scope.add(Tensor.of(offsets, offsets.length)));
    }
    return pass;
  }

  /** Outputs, final states, snapshots; F32 outputs if they are to be the truth. */
  List<Tensor> forward(Backend backend, boolean truth) {
    Tensor out = p.scope.allocate(truth ? DType.F32 : p.out.dtype(), p.out.shape());
    Tensor from = pool(20);
    Tensor to = inPlace ? from : pool(21);
    long count = 0;
    for (int i = 0; i < lengths.length; i++) {
      count += Prefill.snapshotCount(positions[i], lengths[i], every);
    }
    Tensor taken = states(22, count);
    Prefill pass = pass(out, from, to).snapshots(every, taken, positions);
    if (normed) {
      pass.norm(norm);
    }
    LightningAttention.of(backend).prefill(pass);
    return List.of(out, to, taken);
  }

  /** All gradients; those of q, k and v in F32 if they are to be the truth. */
  List<Tensor> backward(Backend backend, boolean truth) {
    DType type = truth || !narrowGradients ? DType.F32 : p.q.dtype();
    Tensor dq = p.scope.allocate(type, p.q.shape());
    Tensor dk = p.scope.allocate(type, p.k.shape());
    Tensor dv = p.scope.allocate(type, p.v.shape());
    Tensor dInitial = pool(30);
    Tensor dLog = p.scope.allocate(DType.F32, p.decay.heads());
    Tensor initial = pool(31);
    LightningAttention.of(backend)
        .backward(
            pass(p.out, initial, pool(33)),
            new Gradients(p.dOut)
                .dFinalState(pool(32))
                .outDq(dq)
                .outDkDv(dk, dv)
                .outDInitialState(dInitial)
                .outDLogDecay(dLog));
    return List.of(dq, dk, dv, dInitial, dLog);
  }

  /** The mean square of an output when nothing cancels, about. */
  double typical() {
    return normed ? 0.01 : p.q.size(3) / 4.0;
  }

  @Override
  public String toString() {
    return p.q + " " + p.v + (packed ? " packed " : " rows ") + Arrays.toString(lengths);
  }

  @Override
  public void close() {
    p.close();
  }
}

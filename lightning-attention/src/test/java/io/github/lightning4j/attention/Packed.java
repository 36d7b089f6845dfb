package io.github.lightning4j.attention;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** A {@link Problem} whose one row holds sequences of given lengths, with states for each. */
final class Packed implements AutoCloseable {
  final Problem p;
  final int[] lengths;
  final long[] starts;
  final Tensor initial;
  final Tensor last;

  Packed(long seed, long dk, long dv, Options options, int[] lengths, double... slopes) {
    int total = IntStream.of(lengths).sum();
    p = new Problem(seed, 1, total, dk, dv, options, slopes);
    this.lengths = lengths;
    starts = new long[lengths.length + 1];
    for (int i = 0; i < lengths.length; i++) {
      starts[i + 1] = starts[i] + lengths[i];
    }
    long[] shape = {lengths.length, slopes.length, dk, dv};
    initial = p.scope.add(Cases.normal(seed + 4, DType.F32, shape));
    last = p.scope.add(Cases.normal(seed + 5, DType.F32, shape));
  }

  int count() {
    return lengths.length;
  }

  Tensor offsets() {
    return p.scope.add(Tensor.of(starts, starts.length));
  }

  Tensor offsets32() {
    int[] narrow = LongStream.of(starts).mapToInt(Math::toIntExact).toArray();
    return p.scope.add(Tensor.of(narrow, narrow.length));
  }

  Prefill pass(Tensor out) {
    return p.pass(out).packed(offsets());
  }

  /** Sequence i on its own. */
  Prefill alone(int i, Tensor out) {
    return p.pass(starts[i], lengths[i], part(out, i));
  }

  /** The tokens of sequence i in {@code [1, T, ...]}. */
  Tensor part(Tensor x, int i) {
    return x.narrow(1, starts[i], lengths[i]);
  }

  /** Somewhere to put outputs, full of numbers. */
  Tensor anotherOut() {
    return p.scope.add(Cases.normal(99, DType.F32, p.out.shape()));
  }

  @Override
  public void close() {
    p.close();
  }
}

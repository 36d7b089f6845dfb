package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.TensorInfo;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.WeightFormat;
import io.github.lightning4j.minimax.WeightFormats;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Set;

/** The tensors of a plan in a checkpoint: finds each, checks type and shape, refuses strangers. */
final class PlannedTensors {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final Safetensors source;
  private final WeightPlan plan;
  private final ExpertRange experts;

  /**
   * Looks through the names.
   *
   * @param experts those that are wanted
   * @throws CheckpointException if there is a tensor that the config does not ask for
   */
  PlannedTensors(MiniMaxConfig config, Safetensors source, ExpertRange experts) {
    this.source = source;
    this.experts = experts;
    this.plan = WeightPlan.of(config, source.names(), sharedSize(config, source));
    refuseStrangers();
  }

  /** As the config says, or else as the released code does it, where the tensor is of that size. */
  private static long sharedSize(MiniMaxConfig config, Safetensors source) {
    long told = config.experts().sharedIntermediateSize();
    String gate = "model.layers.0.shared_mlp.gate_proj.weight";
    if (told == 0 || !source.names().contains(gate)) {
      return told;
    }
    long[] shape = source.info(gate).shape();
    long released = config.experts().intermediateSize();
    return shape.length == 2 && shape[0] == released ? released : told;
  }

  private void refuseStrangers() {
    for (String name : source.names()) {
      if (!plan.entries().containsKey(name) && !plan.mayIgnore(name)) {
        throw new CheckpointException(
            source.path(),
            "unexpected tensor "
                + name
                + "; the config asks for "
                + plan.entries().size()
                + " tensors of which this is none");
      }
    }
  }

  WeightPlan plan() {
    return plan;
  }

  /** What is planned under a name. */
  WeightPlan.Entry entry(String name) {
    return plan.entries().get(name);
  }

  /** Plain weights. */
  Tensor plain(String name) {
    TensorInfo info = info(name);
    long[] expected = entry(name).shape();
    if (!Arrays.equals(info.shape(), expected)) {
      throw fault(
          name + ": expected shape " + Arrays.toString(expected) + " by the config, got ",
          Arrays.toString(info.shape()));
    }
    if (info.dtype() == null || !TYPES.contains(info.dtype())) {
      throw fault(name + ": expected dtype in " + TYPES + ", got ", info.type());
    }
    return source.tensor(name);
  }

  /** The image of a quantized matrix. */
  Tensor image(String name, QuantFormat coding) {
    TensorInfo info = info(name);
    long[] shape = entry(name).shape();
    long bytes = QuantizedMatrix.imageBytes(coding, shape[0], shape[1]);
    if (info.dtype() != DType.U8 || !Arrays.equals(info.shape(), new long[] {bytes})) {
      throw fault(
          name + ": expected U8[" + bytes + "] for " + coding + Arrays.toString(shape) + ", got ",
          info.type() + Arrays.toString(info.shape()));
    }
    return source.tensor(name);
  }

  /** Tells that a tensor has been read and copied. */
  void release(String name) {
    source.release(name);
  }

  /** The bytes of new memory that weights in these formats take if all of them are copied. */
  long bytes(WeightFormats formats) {
    long bytes = 0;
    for (String name : plan.entries().keySet()) {
      bytes += experts.leavesOut(name) ? 0 : bytes(name, formats.of(entry(name).role()));
    }
    return bytes;
  }

  /** As {@link #bytes} if only those are made anew that are not stored in their format. */
  long newBytes(WeightFormats formats) {
    long bytes = 0;
    for (String name : plan.entries().keySet()) {
      if (experts.leavesOut(name)) {
        continue;
      }
      WeightFormat format = formats.of(entry(name).role());
      boolean made =
          format.coding().isPresent() || FormattedWeights.rounds(format, info(name).dtype());
      bytes += made ? bytes(name, format) : 0;
    }
    return bytes;
  }

  private long bytes(String name, WeightFormat format) {
    long columns = entry(name).shape()[entry(name).shape().length - 1];
    long stacked = plan.matrices(name);
    long rows = entry(name).parameters() / columns / stacked;
    long matrices = stacked == 1 ? 1 : stacked / experts.all() * experts.count();
    if (format.coding().isPresent()) {
      return matrices * QuantizedMatrix.imageBytes(format.coding().get(), rows, columns);
    }
    DType stored = info(name).dtype();
    DType held = stored == null || FormattedWeights.rounds(format, stored) ? DType.BF16 : stored;
    return matrices * WeightArena.bytes(held, rows, columns);
  }

  private TensorInfo info(String name) {
    if (!source.names().contains(name)) {
      throw new CheckpointException(source.path(), "missing tensor " + name);
    }
    return source.info(name);
  }

  /** A fault of this checkpoint. */
  CheckpointException fault(String expected, Object got) {
    return new CheckpointException(source.path(), expected + got);
  }
}

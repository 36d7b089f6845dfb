package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * The weights of E SwiGLU experts, {@code W2 (silu(W1 x) * (W3 x))}, as nn.Linear stores them: rows
 * are outputs. All of one element type, F32, BF16 or F16; the last dimension dense, row strides
 * free. The tensors stay their owner's.
 *
 * @param gate W1 of each expert, {@code [I, H]}
 * @param up W3 of each expert, {@code [I, H]}
 * @param down W2 of each expert, {@code [H, I]}
 */
public record ExpertWeights(List<Tensor> gate, List<Tensor> up, List<Tensor> down)
    implements Experts {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  /**
   * Checks types and shapes.
   *
   * @throws IllegalArgumentException naming the tensor that does not fit
   */
  public ExpertWeights {
    gate = List.copyOf(gate);
    up = List.copyOf(up);
    down = List.copyOf(down);
    checkArgument(!gate.isEmpty(), "gate: expected at least one expert, got none");
    checkArgument(
        up.size() == gate.size(), "up: expected %s experts, got %s", gate.size(), up.size());
    checkArgument(
        down.size() == gate.size(), "down: expected %s experts, got %s", gate.size(), down.size());
    Tensor first = gate.get(0);
    Checks.matrix("gate[0]", first, TYPES);
    checkArgument(first.elements() > 0, "gate[0]: expected a matrix with elements, got %s", first);
    for (int e = 0; e < gate.size(); e++) {
      check("gate[" + e + "]", gate.get(e), first, first.size(0), first.size(1));
      check("up[" + e + "]", up.get(e), first, first.size(0), first.size(1));
      check("down[" + e + "]", down.get(e), first, first.size(1), first.size(0));
    }
  }

  private static void check(String name, Tensor weight, Tensor first, long rows, long columns) {
    Checks.matrix(name, weight, first.dtype());
    Checks.shape(name, weight, rows, columns);
    Checks.sameDevice(name, weight, "gate[0]", first);
  }

  /**
   * Views of fused weights, without a copy.
   *
   * @param gateUp {@code [E, 2I, H]}: rows {@code [0, I)} are W1, {@code [I, 2I)} W3
   * @param down {@code [E, H, I]}
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public static ExpertWeights ofFused(Tensor gateUp, Tensor down) {
    Checks.dtype("gateUp", gateUp, TYPES);
    Checks.rank("gateUp", gateUp, 3);
    checkArgument(
        gateUp.size(1) % 2 == 0, "gateUp: expected an even number of rows, got %s", gateUp);
    long experts = gateUp.size(0);
    long intermediate = gateUp.size(1) / 2;
    Checks.dtype("down", down, gateUp.dtype());
    Checks.shape("down", down, experts, gateUp.size(2), intermediate);
    List<Tensor> gates = new ArrayList<>();
    List<Tensor> ups = new ArrayList<>();
    List<Tensor> downs = new ArrayList<>();
    for (long e = 0; e < experts; e++) {
      gates.add(gateUp.select(0, e).narrow(0, 0, intermediate));
      ups.add(gateUp.select(0, e).narrow(0, intermediate, intermediate));
      downs.add(down.select(0, e));
    }
    return new ExpertWeights(gates, ups, downs);
  }

  @Override
  public int experts() {
    return gate.size();
  }

  @Override
  public long hidden() {
    return gate.get(0).size(1);
  }

  @Override
  public long intermediate() {
    return gate.get(0).size(0);
  }

  @Override
  public Device device() {
    return gate.get(0).device();
  }

  /** The element type of all weights. */
  public DType dtype() {
    return gate.get(0).dtype();
  }
}

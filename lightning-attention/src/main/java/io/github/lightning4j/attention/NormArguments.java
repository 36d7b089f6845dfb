package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.attention.internal.NormBackwardCall;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What {@link GatedRmsNorm} demands of its arguments. */
final class NormArguments {
  private NormArguments() {}

  static void apply(
      Set<DType> types, Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out) {
    inputs(types, x, gate, weight, eps);
    rows("out", out, x);
    typeOrF32("out", out, "x", x);
    written("out", out);
    sameOrApart("out", out, "x", x);
    apart("out", out, "weight", weight);
    if (gate != null) {
      sameOrApart("out", out, "gate", gate);
    }
  }

  static void backward(Set<DType> types, NormBackwardCall c, @Nullable Tensor outDWeight) {
    Tensor x = c.x();
    Tensor gate = c.gate();
    inputs(types, x, gate, c.weight(), c.eps());
    rows("dOut", c.dOut(), x);
    typeOrF32("dOut", c.dOut(), "x", x);
    rows("outDx", c.outDx(), x);
    type("outDx", c.outDx(), "x", x);
    written("outDx", c.outDx());
    sameOrApart("outDx", c.outDx(), "dOut", c.dOut());
    apartFromInputs("outDx", c.outDx(), c);
    checkArgument(
        (gate == null) == (c.outDGate() == null),
        "outDGate: expected a tensor if there is a gate and null if not, got %s",
        c.outDGate());
    if (gate != null && c.outDGate() != null) {
      rows("outDGate", c.outDGate(), x);
      type("outDGate", c.outDGate(), "gate", gate);
      written("outDGate", c.outDGate());
      apart("outDGate", c.outDGate(), "dOut", c.dOut());
      apart("outDGate", c.outDGate(), "outDx", c.outDx());
      apartFromInputs("outDGate", c.outDGate(), c);
    }
    if (outDWeight != null) {
      dWeight(types, outDWeight, c);
    }
  }

  private static void inputs(
      Set<DType> types, Tensor x, @Nullable Tensor gate, Tensor weight, float eps) {
    Checks.matrix("x", x, types);
    Checks.dtype("weight", weight, types);
    Checks.shape("weight", weight, x.size(1));
    Checks.contiguous("weight", weight);
    Checks.sameDevice("weight", weight, "x", x);
    checkArgument(
        eps >= 0 && eps < Float.POSITIVE_INFINITY, "eps: expected >= 0 and finite, got %s", eps);
    if (gate != null) {
      Checks.dtype("gate", gate, types);
      rows("gate", gate, x);
      if (x.dtype() != DType.F32) {
        typeOrF32("gate", gate, "x", x);
      }
    }
  }

  private static void dWeight(Set<DType> types, Tensor outDWeight, NormBackwardCall c) {
    boolean wide = outDWeight.dtype() == DType.F64 && types.contains(DType.F64);
    checkArgument(
        outDWeight.dtype() == DType.F32 || wide,
        "outDWeight: expected dtype F32, got %s",
        outDWeight.dtype());
    Checks.shape("outDWeight", outDWeight, c.x().size(1));
    Checks.contiguous("outDWeight", outDWeight);
    Checks.writable("outDWeight", outDWeight);
    Checks.sameDevice("outDWeight", outDWeight, "x", c.x());
    apart("outDWeight", outDWeight, "dOut", c.dOut());
    apart("outDWeight", outDWeight, "outDx", c.outDx());
    if (c.outDGate() != null) {
      apart("outDWeight", outDWeight, "outDGate", c.outDGate());
    }
    apartFromInputs("outDWeight", outDWeight, c);
  }

  private static void rows(String name, Tensor tensor, Tensor x) {
    Checks.shape(name, tensor, x.shape());
    Checks.denseLast(name, tensor);
    Checks.sameDevice(name, tensor, "x", x);
  }

  private static void type(String name, Tensor tensor, String otherName, Tensor other) {
    checkArgument(
        tensor.dtype() == other.dtype(),
        "%s: expected dtype %s as %s has, got %s",
        name,
        other.dtype(),
        otherName,
        tensor.dtype());
  }

  private static void typeOrF32(String name, Tensor tensor, String otherName, Tensor other) {
    if (other.dtype() == DType.F32) {
      type(name, tensor, otherName, other);
    }
    checkArgument(
        tensor.dtype() == other.dtype() || tensor.dtype() == DType.F32,
        "%s: expected dtype %s as %s has, or F32, got %s",
        name,
        other.dtype(),
        otherName,
        tensor.dtype());
  }

  private static void written(String name, Tensor tensor) {
    Checks.writable(name, tensor);
    checkArgument(
        tensor.size(0) <= 1 || tensor.stride(0) >= tensor.size(1),
        "%s: expected rows that share no element, got %s columns and a row stride of %s",
        name,
        tensor.size(1),
        tensor.stride(0));
  }

  private static void apartFromInputs(String name, Tensor out, NormBackwardCall c) {
    apart(name, out, "x", c.x());
    apart(name, out, "weight", c.weight());
    if (c.gate() != null) {
      apart(name, out, "gate", c.gate());
    }
  }

  private static void apart(String name, Tensor out, String otherName, Tensor other) {
    checkArgument(!Overlap.possible(out, other), "%s: must not overlap %s", name, otherName);
  }

  private static void sameOrApart(String name, Tensor out, String otherName, Tensor other) {
    boolean same =
        out.dtype() == other.dtype()
            && out.address() == other.address()
            && (out.size(0) <= 1 || out.stride(0) == other.stride(0));
    checkArgument(
        same || !Overlap.possible(out, other),
        "%s: must be %s itself, of its type and strides, or not overlap it",
        name,
        otherName);
  }
}

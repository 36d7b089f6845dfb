package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a call reads and writes: no output may lie over an input or over another output. Compares
 * the memory from first to last element, sorted by address: {@code n log n} for n tensors.
 */
public final class DisjointMemory {
  private static final int WHOLE = -1;

  private final List<Region> regions = new ArrayList<>();

  /** Starts without any. */
  public DisjointMemory() {}

  private record Region(String name, int expert, Tensor tensor, boolean written) {
    /** The address behind the last element. */
    long end() {
      long last = 0;
      for (int dim = 0; dim < tensor.rank(); dim++) {
        last += (tensor.size(dim) - 1) * tensor.stride(dim);
      }
      return tensor.address() + (last + 1) * tensor.dtype().bytes();
    }

    String label() {
      return expert == WHOLE ? name : name + "[" + expert + "]";
    }
  }

  /** Adds an input. */
  public DisjointMemory reads(String name, Tensor tensor) {
    regions.add(new Region(name, WHOLE, tensor, false));
    return this;
  }

  /** Adds inputs, one for each expert. */
  public DisjointMemory reads(String name, List<Tensor> tensors) {
    for (int e = 0; e < tensors.size(); e++) {
      regions.add(new Region(name, e, tensors.get(e), false));
    }
    return this;
  }

  /** Adds an output. */
  public DisjointMemory writes(String name, Tensor tensor) {
    regions.add(new Region(name, WHOLE, tensor, true));
    return this;
  }

  /** Adds outputs, one for each expert. */
  public DisjointMemory writes(String name, List<Tensor> tensors) {
    for (int e = 0; e < tensors.size(); e++) {
      regions.add(new Region(name, e, tensors.get(e), true));
    }
    return this;
  }

  /**
   * Refuses outputs that overlap, or that must not be written.
   *
   * @throws IllegalArgumentException naming the first output added that lies over something added
   *     before it
   */
  public void check() {
    regions.removeIf(region -> region.tensor.elements() == 0);
    for (Region region : regions) {
      if (region.written) {
        Checks.writable(region.label(), region.tensor);
      }
    }
    if (anyOverlap()) {
      refuseFirstOverlap();
    }
  }

  private boolean anyOverlap() {
    List<Region> sorted = new ArrayList<>(regions);
    sorted.sort(Comparator.comparingLong(region -> region.tensor.address()));
    @Nullable Region read = null;
    @Nullable Region written = null;
    for (Region region : sorted) {
      if (overlap(region, written) || (region.written && overlap(region, read))) {
        return true;
      }
      if (region.written) {
        written = further(written, region);
      } else {
        read = further(read, region);
      }
    }
    return false;
  }

  /** In the order in which regions were added, so that no address decides what is told. */
  private void refuseFirstOverlap() {
    for (int later = 0; later < regions.size(); later++) {
      for (Region before : regions.subList(0, later)) {
        Region region = regions.get(later);
        if ((region.written || before.written) && overlap(region, before)) {
          Region out = region.written ? region : before;
          Region other = region.written ? before : region;
          throw new IllegalArgumentException(
              out.label()
                  + ": must not overlap "
                  + other.label()
                  + ", got "
                  + out.tensor
                  + " over "
                  + other.tensor);
        }
      }
    }
  }

  private static boolean overlap(Region a, @Nullable Region b) {
    return b != null && Checks.overlap(a.tensor, b.tensor);
  }

  private static Region further(@Nullable Region a, Region b) {
    return a == null || b.end() > a.end() ? b : a;
  }
}

package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.minimax.WeightFormat;
import io.github.lightning4j.minimax.WeightFormats;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The weights of a checkpoint in the formats asked for. Matrices that are to be coded or rounded go
 * through memory one by one: the pages of each are given back before the next is read, so only what
 * is made stays.
 */
final class FormattedWeights {
  /** Gate, up, down, as the released layout names them. */
  private static final String[] PARTS = {".w1.weight", ".w3.weight", ".w2.weight"};

  /** Elements that one thread copies at once. */
  private static final long COPY_GRAIN = 1 << 18;

  private final PlannedTensors source;
  private final WeightFormats formats;
  private final boolean coded;
  private final boolean copied;
  private final MemoryScope made;
  private final WeightArena arena;
  private final Map<String, Tensor> held = new LinkedHashMap<>();
  private final Map<String, QuantizedMatrix> read = new LinkedHashMap<>();

  /**
   * Weights of a checkpoint.
   *
   * @param coded whether the checkpoint holds images of quantized matrices in these formats
   * @param copied whether weights that stay as they are stored are copied too
   * @param made owns what is made
   * @param arena has room for it
   */
  FormattedWeights(
      PlannedTensors source,
      WeightFormats formats,
      boolean coded,
      boolean copied,
      MemoryScope made,
      WeightArena arena) {
    this.source = source;
    this.formats = formats;
    this.coded = coded;
    this.copied = copied;
    this.made = made;
    this.arena = arena;
  }

  /** Whether plain weights of a type have to be rounded for a format. */
  static boolean rounds(WeightFormat format, @Nullable DType stored) {
    return format.equals(WeightFormat.BF16) && stored != DType.BF16;
  }

  /** What is in memory, by the names of the released layout: plain tensors and images. */
  Map<String, Tensor> held() {
    return held;
  }

  /** Quantized matrices that the checkpoint holds. */
  Map<String, QuantizedMatrix> read() {
    return read;
  }

  /** A tensor that has no format but its own. */
  Tensor plain(String name) {
    return plain(name, name);
  }

  /** As {@link #plain(String)}, held under the name that the released layout gives it. */
  Tensor plain(String name, String releasedName) {
    Tensor tensor = stored(name, source.plain(name));
    held.put(releasedName, tensor);
    return tensor;
  }

  /** A matrix in the format of its role. */
  WeightMatrix matrix(String name) {
    WeightFormat format = formats.of(source.entry(name).role());
    if (format.coding().isPresent()) {
      return new WeightMatrix.Quantized(quantized(name, format.coding().get()));
    }
    return new WeightMatrix.Plain(rounded(name, name, source.plain(name)));
  }

  /** Experts that have a tensor for each matrix, {@code prefix + e + ".w1.weight"} and so on. */
  Experts experts(String prefix, ExpertRange range) {
    WeightFormat format = formats.experts();
    if (format.coding().isPresent()) {
      List<List<QuantizedMatrix>> matrices = lists();
      for (int e = range.first(); e < range.end(); e++) {
        for (int part = 0; part < PARTS.length; part++) {
          String name = prefix + e + PARTS[part];
          matrices.get(part).add(quantized(name, format.coding().get()));
        }
      }
      return QuantizedExpertWeights.of(matrices.get(0), matrices.get(1), matrices.get(2));
    }
    List<List<Tensor>> tensors = lists();
    for (int e = range.first(); e < range.end(); e++) {
      for (int part = 0; part < PARTS.length; part++) {
        String name = prefix + e + PARTS[part];
        tensors.get(part).add(rounded(name, name, source.plain(name)));
      }
    }
    return new ExpertWeights(tensors.get(0), tensors.get(1), tensors.get(2));
  }

  private static <T> List<List<T>> lists() {
    return List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
  }

  /**
   * Experts that are two tensors a layer.
   *
   * @param prefix of the names that the released layout would give them
   */
  Experts fusedExperts(String gateUp, String down, String prefix, ExpertRange range) {
    ExpertWeights views = ExpertWeights.ofFused(source.plain(gateUp), source.plain(down));
    List<List<Tensor>> parts = List.of(views.gate(), views.up(), views.down());
    List<List<Tensor>> tensors = lists();
    List<List<QuantizedMatrix>> matrices = lists();
    QuantFormat coding = formats.experts().coding().orElse(null);
    for (int e = range.first(); e < range.end(); e++) {
      for (int part = 0; part < PARTS.length; part++) {
        String name = prefix + e + PARTS[part];
        String from = part == 2 ? down : gateUp;
        Tensor view = parts.get(part).get(e);
        if (coding == null) {
          tensors.get(part).add(rounded(name, from, view));
        } else {
          matrices.get(part).add(quantize(name, from, view, coding));
        }
      }
    }
    return coding == null
        ? new ExpertWeights(tensors.get(0), tensors.get(1), tensors.get(2))
        : QuantizedExpertWeights.of(matrices.get(0), matrices.get(1), matrices.get(2));
  }

  private QuantizedMatrix quantized(String name, QuantFormat coding) {
    if (!coded) {
      return quantize(name, name, source.plain(name), coding);
    }
    long[] shape = source.entry(name).shape();
    Tensor image = stored(name, source.image(name, coding));
    held.put(name, image);
    QuantizedMatrix matrix = made.add(QuantizedMatrix.ofImage(coding, shape[0], shape[1], image));
    read.put(name, matrix);
    return matrix;
  }

  /** Codes a matrix that lies in the tensor {@code from}. */
  private QuantizedMatrix quantize(String name, String from, Tensor view, QuantFormat coding) {
    try {
      long bytes = QuantizedMatrix.imageBytes(coding, view.size(0), view.size(1));
      Tensor image = arena.take(DType.U8, bytes);
      held.put(name, image);
      return made.add(QuantizedMatrix.quantize(view, coding, image));
    } catch (IllegalArgumentException e) {
      throw source.fault(name + " cannot be quantized: ", e.getMessage());
    } finally {
      source.release(from);
    }
  }

  private Tensor rounded(String name, String from, Tensor view) {
    boolean rounds = rounds(formats.of(source.entry(from).role()), view.dtype());
    Tensor tensor = rounds ? copy(DType.BF16, from, view) : stored(from, view);
    held.put(name, tensor);
    return tensor;
  }

  /** Weights as they are stored, which lie in the tensor {@code from}. */
  private Tensor stored(String from, Tensor view) {
    return copied ? copy(view.dtype(), from, view) : view;
  }

  private Tensor copy(DType dtype, String from, Tensor view) {
    Tensor tensor = arena.take(dtype, view.shape());
    Tensor target = tensor.reshape(tensor.elements());
    Tensor elements = view.reshape(view.elements());
    Threads.forRanges(
        view.elements(),
        COPY_GRAIN,
        (a, b) -> target.narrow(0, a, b - a).copyFrom(elements.narrow(0, a, b - a)));
    source.release(from);
    return tensor;
  }
}

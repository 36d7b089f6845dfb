package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.Arrays;
import java.util.List;

/** Launches of {@code fill.cu} over checked tensors. */
public final class CudaFills {
  private static final int THREADS = 256;

  private static final int WORDS_A_THREAD = 4;

  private static final long MOST_BLOCKS = 4096;

  /** What memory is filled with. */
  public enum Kind {
    /** Random bits. */
    BITS,
    /** Random BF16, uniform between a limit and its negative. */
    UNIFORM,
    /** One word. */
    CONSTANT
  }

  private CudaFills() {}

  private static final class Sources {
    static final KernelSource FILL = KernelSource.of(CudaFills.class, "fill.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return Arrays.stream(Kind.values()).map(CudaFills::source).toList();
  }

  private static KernelSource source(Kind kind) {
    return Sources.FILL.define("KIND", kind.ordinal());
  }

  /**
   * Fills a tensor.
   *
   * @param limit of {@link Kind#UNIFORM}
   * @param word of {@link Kind#CONSTANT}
   */
  public static void fill(
      CudaStream stream, Kind kind, long seed, float limit, int word, Tensor out) {
    long words = out.elements() * out.dtype().bytes() / Integer.BYTES;
    long block = (long) WORDS_A_THREAD * THREADS;
    KernelModule.of(stream.device(), source(kind))
        .kernel("fill")
        .launch(
            stream,
            LaunchShape.of(Math.min(MOST_BLOCKS, (words + block - 1) / block), THREADS),
            new KernelArguments().tensor(out).i64(words).i64(seed).f32(limit).i32(word));
  }
}

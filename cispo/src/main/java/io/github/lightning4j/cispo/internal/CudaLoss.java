package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code policy_loss.cu}. */
public final class CudaLoss {
  /** What is summed over the tokens. */
  public static final int SUMS = 19;

  private static final int THREADS = 256;
  private static final int BOUNDS = 6;

  private CudaLoss() {}

  private static final class Sources {
    static final KernelSource LOSS = KernelSource.of(CudaLoss.class, "policy_loss.cu");
  }

  /** Which surrogate; the order is that of the kernel's KIND. */
  public enum Kind {
    /** Clipped importance weights. */
    CISPO,
    /** PPO's clipped objective. */
    CLIPPED,
    /** A smooth gate. */
    SAPO
  }

  /**
   * A loss as the kernel knows it.
   *
   * @param kind the surrogate
   * @param ofSequences whether ratios are those of sequences
   * @param klWeight of the penalty
   * @param bounds the numbers of the surrogate, at most six
   */
  public record Form(Kind kind, boolean ofSequences, double klWeight, double... bounds) {
    private KernelSource source() {
      return Sources.LOSS.define("KIND", kind.ordinal()).define("LEVEL", ofSequences ? 1 : 0);
    }
  }

  /**
   * What the batch has, on the GPU, for B sequences of T tokens side by side.
   *
   * @param offsets I32 {@code [B + 1]}
   * @param old F64 {@code [T]}, as all below
   * @param advantages of the tokens
   * @param weights of the tokens; 0 where one does not count
   * @param importance or null
   * @param reference or null
   * @param partial F64 {@code [B, SUMS]}
   * @param sums F64 {@code [SUMS]}
   */
  public record Tables(
      Tensor offsets,
      Tensor old,
      Tensor advantages,
      Tensor weights,
      @Nullable Tensor importance,
      @Nullable Tensor reference,
      Tensor partial,
      Tensor sums) {}

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (Kind kind : Kind.values()) {
      all.add(new Form(kind, kind == Kind.CLIPPED, 0).source());
    }
    all.add(new Form(Kind.CLIPPED, false, 0).source());
    return all;
  }

  /** Puts a loss and its gradient on a stream. */
  public static void run(
      CudaStream stream, Form form, Tables tables, Tensor logProb, Tensor outDLogProb) {
    long sequences = tables.partial.size(0);
    if (sequences == 0) {
      stream.clear(tables.sums);
      return;
    }
    KernelModule module = KernelModule.of(stream.device(), form.source());
    KernelArguments arguments =
        new KernelArguments()
            .tensor(logProb)
            .tensor(tables.offsets)
            .tensor(tables.old)
            .tensor(tables.advantages)
            .tensor(tables.weights)
            .tensorOrNull(tables.importance)
            .tensorOrNull(tables.reference);
    for (int i = 0; i < BOUNDS; i++) {
      arguments.f64(i < form.bounds.length ? form.bounds[i] : 0);
    }
    module
        .kernel("policy_terms")
        .launch(
            stream,
            LaunchShape.of(sequences, THREADS),
            arguments.f64(form.klWeight).tensor(outDLogProb).tensor(tables.partial));
    module
        .kernel("policy_join")
        .launch(
            stream,
            LaunchShape.of(1, 32),
            new KernelArguments().tensor(tables.partial).i32(sequences).tensor(tables.sums));
  }
}

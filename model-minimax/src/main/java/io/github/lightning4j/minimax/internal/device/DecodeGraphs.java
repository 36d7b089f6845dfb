package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Steps of one token for each of some sequences, as graphs: one call for the CPU, whatever the
 * number of layers. Which sequences they are stands in the inputs; a graph serves any so many of
 * them. The first step of a number runs as it is, and brings scratch memory and kernels with it;
 * the second is recorded. What was recorded is dropped once memory has moved.
 */
final class DecodeGraphs implements AutoCloseable {
  private final CudaStream stream;
  private final Map<Integer, Recorded> bySequences = new HashMap<>();
  private long epoch = -1;

  /** A recorded step and where its logits are; nothing recorded yet where there is no graph. */
  private record Recorded(@Nullable CudaGraph graph, Tensor logits) {}

  DecodeGraphs(CudaStream stream) {
    this.stream = stream;
  }

  /** Whether a step of so many sequences is there to be run again. */
  boolean isRecorded(int sequences, long now) {
    Recorded seen = bySequences.get(sequences);
    return now == epoch && seen != null && seen.graph() != null;
  }

  /**
   * Puts a step on the stream.
   *
   * @param sequences how many
   * @param now tells one state of memory from another, which has it elsewhere; asked again behind
   *     the step
   * @param pass puts the step on the stream and gives its logits
   */
  Tensor run(int sequences, Supplier<Long> now, Supplier<Tensor> pass) {
    if (now.get() != epoch) {
      close();
    }
    Recorded seen = bySequences.get(sequences);
    if (seen == null) {
      Tensor logits = pass.get();
      if (now.get() != epoch) {
        close();
        epoch = now.get();
      }
      bySequences.put(sequences, new Recorded(null, logits));
      return logits;
    }
    if (seen.graph() == null) {
      bySequences.remove(sequences); // where recording fails, the next step runs as it is again
      Tensor[] logits = new Tensor[1];
      CudaGraph graph = CudaGraph.capture(stream, () -> logits[0] = pass.get());
      seen = new Recorded(graph, logits[0]);
      bySequences.put(sequences, seen);
    }
    seen.graph().launch(stream);
    return seen.logits();
  }

  /** Drops all graphs. */
  @Override
  public void close() {
    for (Recorded recorded : bySequences.values()) {
      if (recorded.graph() != null) {
        recorded.graph().close();
      }
    }
    bySequences.clear();
  }
}

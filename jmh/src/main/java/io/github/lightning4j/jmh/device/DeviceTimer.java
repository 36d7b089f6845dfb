package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.cuda.CudaEvent;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.function.IntConsumer;

/**
 * The time of steps between two events of a stream: after a warm-up of {@value #WARM_MS} ms,
 * {@value #SAMPLES} samples of about {@value #SAMPLE_MS} ms each, fewer where they last longer than
 * {@value #ROW_MS} ms together. Steps of a sample follow one another without a wait.
 */
final class DeviceTimer implements AutoCloseable {
  private static final int WARM_MS = 200;
  private static final int SAMPLES = 50;
  private static final int SAMPLE_MS = 4;
  private static final int ROW_MS = 2000;
  private static final int MOST_STEPS = 2000;

  /** Steps of a graph, as many as a model has layers. */
  private static final int GRAPH_STEPS = 64;

  private static final int LEAST_SAMPLES = 5;

  /** What the clock of events can tell. */
  private static final double SHORTEST_US = 0.5;

  private final CudaStream stream;
  private final boolean smoke;
  private final CudaEvent start;
  private final CudaEvent end;

  DeviceTimer(CudaStream stream, boolean smoke) {
    this.stream = stream;
    this.smoke = smoke;
    this.start = CudaEvent.open(stream.device());
    this.end = CudaEvent.open(stream.device());
  }

  /** Microseconds of one step. */
  Timing time(Job job) {
    // Loads kernels, which a graph cannot.
    job.step().accept(0);
    stream.synchronize();
    if (!job.recorded()) {
      return time(i -> job.step().accept(i % job.variants()), 1);
    }
    int steps = smoke ? 2 : GRAPH_STEPS;
    try (CudaGraph graph =
        CudaGraph.capture(
            stream,
            () -> {
              for (int i = 0; i < steps; i++) {
                job.step().accept(i % job.variants());
              }
            })) {
      return time(i -> graph.launch(stream), steps);
    }
  }

  private Timing time(IntConsumer launch, int steps) {
    if (smoke) {
      return Timing.of(sample(launch, 0, 2) / steps);
    }
    int done = 0;
    double took = 0;
    double last = 0;
    for (int calls = 1; took < WARM_MS * 1000; calls = Math.min(2 * calls, MOST_STEPS)) {
      last = sample(launch, done, calls);
      took += last * calls;
      done += calls;
    }
    int calls = (int) Math.min(MOST_STEPS, Math.max(1, Math.round(SAMPLE_MS * 1000 / last)));
    int samples = (int) Math.min(SAMPLES, Math.max(LEAST_SAMPLES, ROW_MS * 1000 / (calls * last)));
    double[] microseconds = new double[samples];
    for (int i = 0; i < samples; i++) {
      microseconds[i] = sample(launch, done, calls) / steps;
      done += calls;
    }
    return Timing.of(microseconds);
  }

  /** Microseconds of one call, the mean of several without a wait. */
  private double sample(IntConsumer launch, int first, int calls) {
    stream.record(start);
    for (int i = 0; i < calls; i++) {
      launch.accept(first + i);
    }
    stream.record(end);
    end.synchronize();
    return Math.max(1000.0 * end.millisecondsSince(start), SHORTEST_US) / calls;
  }

  @Override
  public void close() {
    start.close();
    end.close();
  }
}

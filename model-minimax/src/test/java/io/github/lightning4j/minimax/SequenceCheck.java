package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.minimax.internal.HostMemory;
import java.util.HashSet;
import java.util.Set;

/** Holds one golden sequence, inside and out, against a session. */
final class SequenceCheck implements ForwardObserver {
  private final ModelFixture fixture;
  private final SafetensorsFile golden;
  private final String sequence;
  private final long[] positions;
  private final Set<String> seen = new HashSet<>();

  SequenceCheck(ModelFixture fixture, SafetensorsFile golden, String sequence) {
    this.fixture = fixture;
    this.golden = golden;
    this.sequence = sequence;
    this.positions = golden.tensor(sequence + ".positions").toLongs();
  }

  void run(Session session) {
    int[] ids = ModelContract.ints(golden, sequence + ".input_ids");
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, ids.length, session.model().config().vocabSize());
      session.forward(ids, this, logits);
      rows("logits", "logits", logits);
      for (int i = 0; i < session.model().config().layers().size(); i++) {
        state(session, i);
        cache(scope, session, i);
      }
    }
    Set<String> stated = new HashSet<>(golden.names());
    stated.removeIf(name -> !name.startsWith(sequence + "."));
    stated.remove(sequence + ".input_ids");
    stated.remove(sequence + ".positions");
    assertThat(seen).as("every stated tensor was compared").isEqualTo(stated);
  }

  @Override
  public void hidden(int layer, Tensor stream) {
    rows("hidden." + layer, "hidden", stream);
  }

  @Override
  public void router(int layer, Tensor logits, Tensor index, Tensor weight) {
    rows("router_logits." + layer, "router_logits", logits);
    // Weights are a softmax of logits: their error is at most that of the logits.
    rows("topk_weight." + layer, "router_logits", weight);
    String name = sequence + ".topk_index." + layer;
    if (golden.names().contains(name)) {
      seen.add(name);
      assertThat(pick(index)).as(name).isEqualTo(golden.tensor(name).toDoubles());
    }
  }

  @Override
  public void finalNorm(Tensor normed) {
    rows("final_norm", "final_norm", normed);
  }

  private void rows(String what, String kind, Tensor actual) {
    String name = sequence + "." + what;
    if (golden.names().contains(name)) {
      seen.add(name);
      Closeness.assertWithin(
          name, pick(actual), golden.tensor(name).toDoubles(), fixture.tolerance(kind));
    }
  }

  /** The rows at the stated positions. */
  private double[] pick(Tensor tensor) {
    int width = (int) tensor.size(1);
    double[] picked = new double[positions.length * width];
    for (int i = 0; i < positions.length; i++) {
      double[] row = tensor.select(0, positions[i]).toDoubles();
      System.arraycopy(row, 0, picked, i * width, width);
    }
    return picked;
  }

  private void state(Session session, int layer) {
    String name = sequence + ".state." + layer;
    if (golden.names().contains(name)) {
      seen.add(name);
      Closeness.assertWithin(
          name,
          HostMemory.of(session.state()).lightning(layer).toDoubles(),
          golden.tensor(name).toDoubles(),
          fixture.tolerance("state"));
    }
  }

  private void cache(MemoryScope scope, Session session, int layer) {
    if (!golden.names().contains(sequence + ".k." + layer)) {
      return;
    }
    KvCache cache = HostMemory.of(session.state()).cache(layer);
    Tensor key = scope.allocate(DType.F32, cache.length(), cache.kvHeads(), cache.headDim());
    Tensor value = scope.allocate(DType.F32, key.shape());
    cache.read(key, value);
    perHead(sequence + ".k." + layer, key, "k");
    perHead(sequence + ".v." + layer, value, "v");
  }

  /** Golden caches are [heads, T, d]. */
  private void perHead(String name, Tensor actual, String kind) {
    seen.add(name);
    Tensor expected = golden.tensor(name);
    for (int head = 0; head < expected.size(0); head++) {
      Closeness.assertWithin(
          name + " head " + head,
          actual.select(1, head).toDoubles(),
          expected.select(0, head).toDoubles(),
          fixture.tolerance(kind));
    }
  }
}

package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Snapshots of sessions on a GPU, and what a prefix cache keeps there. */
@RequiresCuda
final class GpuSnapshotDeviceTest {
  private static final TokenPolicy SHORT =
      TokenPolicy.NONE.withMassiveActivations(3).withFirstTokens(2).withRecentWindow(9, 1);

  @TempDir private static Path model;

  @TempDir private Path folder;

  @BeforeAll
  static void write() throws IOException {
    SmallCheckpoint.write(model, false);
  }

  private static KvCacheFormat format(String name) {
    KvCacheFormat format = KvCacheFormat.of(name);
    return new KvCacheFormat(DType.BF16, format.policy(), Optional.empty(), Optional.empty())
        .withTokens(SHORT);
  }

  private static LoadOptions gpu(KvCacheFormat format, long bytes) {
    return LoadOptions.DEFAULT
        .withDevice(Device.cuda(0))
        .withCacheFormat(format)
        .withCacheBudget(PageBudget.ofBytes(bytes))
        .withPrefillChunk(128);
  }

  private static MiniMaxModel there(String format) {
    return MiniMaxModel.load(model, gpu(format(format), 4 << 20));
  }

  private static int[] ids(long seed, int count) {
    return new Random(seed).ints(count, 0, SmallCheckpoint.VOCABULARY).toArray();
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "kv2"})
  void aSnapshotGoesOnAsIfNothingHadHappened(String format) {
    Path file = folder.resolve("session.safetensors");
    long before = CudaMemory.liveBytes();
    try (MiniMaxModel there = there(format);
        Session session = there.newSession()) {
      session.snapshot(folder.resolve("empty"));
      session.prefill(ids(1, 12));
      session.snapshot(file);
      float[] logits = session.logits().clone();
      session.decode(7);
      try (Session empty = there.restore(folder.resolve("empty"));
          Session restored = there.restore(file)) { // in another slot, with other pages
        assertThat(empty.position()).isZero();
        assertThat(restored.position()).isEqualTo(12);
        assertThat(restored.logits()).isEqualTo(logits);
        assertThat(restored.decode(7)).isEqualTo(session.logits());
        assertThat(empty.prefill(ids(1, 12))).isEqualTo(logits);
      }
      if (format.equals("bf16")) {
        onTheCpu(file, session.logits());
        try (Session restored = there.restore(folder.resolve("up"))) {
          assertThat(restored.decode(7)).isEqualTo(session.logits());
        }
      }
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  /** Restores a snapshot of a GPU on the CPU, and writes it down again. */
  private void onTheCpu(Path file, float[] expected) {
    try (MiniMaxModel here = MiniMaxModel.load(model);
        Session restored = here.restore(file)) {
      restored.snapshot(folder.resolve("up"));
      Closeness.assertNmse(
          "on the CPU",
          ModelContract.widen(restored.decode(7)),
          ModelContract.widen(expected),
          2e-3);
    }
  }

  @Test
  void aSnapshotThatDoesNotFitIsRefusedAndLeavesNothing() throws Exception {
    Path exact = folder.resolve("exact");
    Path quantized = folder.resolve("quantized");
    try (MiniMaxModel few =
        MiniMaxModel.load(model, gpu(KvCacheFormat.of("bf16"), SmallCheckpoint.PAGE))) {
      try (Session session = few.newSession()) {
        session.prefill(ids(1, 3));
        session.snapshot(exact);
        assertThatThrownBy(() -> few.restore(exact)).isInstanceOf(PageBudgetException.class);
      }
      try (Session restored = few.restore(exact)) {
        assertThat(restored.position()).isEqualTo(3);
      }
      byte[] bytes = Files.readAllBytes(exact);
      Files.write(exact, Arrays.copyOf(bytes, bytes.length - 9));
      assertThatThrownBy(() -> few.restore(exact)).isInstanceOf(CheckpointException.class);
    }
    try (MiniMaxModel there = there("kv2");
        Session session = there.newSession()) {
      session.prefill(ids(1, 12));
      session.snapshot(quantized);
    }
    LoadOptions onTheCpu = LoadOptions.DEFAULT.withCacheFormat(format("kv2"));
    try (MiniMaxModel here = MiniMaxModel.load(model, onTheCpu)) {
      assertThatThrownBy(() -> here.restore(quantized))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("cache expected kv2, got kv2 on a GPU");
    }
    KvCacheFormat longer = format("kv2").withTokens(SHORT.withRecentWindow(10, 1));
    try (MiniMaxModel there = MiniMaxModel.load(model, gpu(longer, 4 << 20))) {
      assertThatThrownBy(() -> there.restore(quantized))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("layer 1: image: made with another configuration");
    }
  }

  @Test
  void whatAPrefixCacheKeepsIsNotReadAgain() {
    int[] prompt = ids(4, 67);
    GenerationOptions options =
        GenerationOptions.builder().maxNewTokens(2).stopAtEos(false).build();
    try (MiniMaxModel there = there("bf16");
        PrefixCache cache = new PrefixCache(there, 64 << 20, 64)) {
      Generator generator = new Generator(there).withPrefixCache(cache);
      List<Long> told = new ArrayList<>();
      GenerationListener listener =
          new GenerationListener() {
            @Override
            public void onPrefill(long done, long total) {
              told.add(done);
            }
          };
      List<Integer> expected = generator.generate(prompt, options, listener).ids();
      assertThat(told).containsExactly(64L, 67L);
      assertThat(cache.checkpoints()).isEqualTo(1);
      try (Session session = there.newSession()) {
        assertThat(cache.bytes()).isEqualTo(session.bytes() + SmallCheckpoint.PAGE + 64 * 4);
      }
      told.clear();
      assertThat(generator.generate(prompt, options, listener).ids()).isEqualTo(expected);
      assertThat(told).containsExactly(67L);
    }
  }

  @Test
  void checkpointsGiveTheirPlacesToSequences() {
    int[] prompt = ids(4, 67);
    GenerationOptions options =
        GenerationOptions.builder().maxNewTokens(1).stopAtEos(false).build();
    try (MiniMaxModel there = there("bf16");
        PrefixCache cache = new PrefixCache(there, 64 << 20, 64)) {
      Generator generator = new Generator(there).withPrefixCache(cache);
      List<Session> open = new ArrayList<>();
      for (int i = 1; i < there.mostSessions(); i++) {
        open.add(there.newSession());
      }
      List<Integer> expected = generator.generate(prompt, options, GenerationListener.NONE).ids();
      assertThat(cache.checkpoints()).as("one place, which the sequence has").isZero();
      open.remove(0).close();
      generator.generate(prompt, options, GenerationListener.NONE);
      assertThat(cache.checkpoints()).isEqualTo(1);
      open.add(there.newSession());
      assertThatThrownBy(there::newSession).hasMessageContaining("256 sessions are open already");
      assertThat(generator.generate(prompt, options, GenerationListener.NONE).ids())
          .as("goes on in the place of the checkpoint itself")
          .isEqualTo(expected);
      assertThat(cache.checkpoints()).isZero();
      assertThat(cache.bytes()).isZero();
      open.remove(0).close();
      generator.generate(prompt, options, GenerationListener.NONE);
      open.add(there.newSession());
      assertThat(generator.generate(ids(5, 3), options, GenerationListener.NONE).ids()).hasSize(1);
      assertThat(cache.checkpoints()).as("gave its place to another sequence").isZero();
      open.add(there.newSession());
      assertThatThrownBy(() -> generator.generate(prompt, options, GenerationListener.NONE))
          .hasMessageContaining("256 sessions are open already");
      open.forEach(Session::close);
    }
  }
}

package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.CalibrationException;
import io.github.lightning4j.kvquant.calibration.CalibrationException.Reason;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Sessions whose caches are quantized. */
final class QuantizedSessionTest {
  private static final int[] IDS = new Random(3).ints(300, 0, 2048).toArray();
  private static final int[] TRAIN = new Random(4).ints(400, 0, 2048).toArray();

  @TempDir private static Path temp;
  private static Path calibration = Path.of("");
  private static MiniMaxModel model;

  @BeforeAll
  static void calibrate() {
    model = Nano.load();
    calibration = temp.resolve("nano.safetensors");
    CalibrationFile.write(
        calibration, KvCalibration.of(model, TRAIN, 128, "random", ProgressListener.NONE));
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static KvCacheFormat format(String name) {
    KvCacheFormat format = KvCacheFormat.of(name);
    boolean ofText = format.usesCalibration() && format.classes().isEmpty();
    return ofText ? format.withCalibration(calibration) : format;
  }

  private static double[] forward(KvCacheFormat format, int... ids) {
    try (Session session = model.newSession(format);
        Tensor logits = Tensor.allocate(DType.F32, ids.length, 2048)) {
      session.forward(ids, ForwardObserver.NONE, logits);
      return logits.toDoubles();
    }
  }

  /** The normalized mean square error. */
  private static double apart(double[] got, double[] truth) {
    double error = 0;
    double norm = 0;
    for (int i = 0; i < truth.length; i++) {
      error += (got[i] - truth[i]) * (got[i] - truth[i]);
      norm += truth[i] * truth[i];
    }
    return error / norm;
  }

  static Iterable<String> names() {
    return KvCacheFormat.names();
  }

  @ParameterizedTest
  @MethodSource("names")
  void everyFormatStaysAsCloseAsItsBitsAllow(String name) {
    KvCacheFormat format = format(name);
    double others = format.classes().isPresent() ? 2 : 16;
    double bits = format.policy().map(KvPolicy::bitsPerElement).orElse(others);
    double bound = bits > 8 ? 1e-4 : bits > 4 ? 1e-2 : 0.1;
    double[] exact = forward(KvCacheFormat.F32, IDS);
    double[] got = forward(format, IDS);
    Closeness.assertNmse(name, got, exact, bound);
    assertThat(Arrays.equals(got, exact)).isEqualTo(name.equals("f32"));
  }

  @Test
  void densePairsTakeNothingAway() {
    KvPolicy fine = KvCacheFormat.of("int8").policy().orElseThrow();
    KvPolicy policy =
        new KvPolicy(
            "dense-8",
            KvPresets.of("kv2-wush").transform(),
            fine.keyAxis(),
            fine.layers(),
            fine.tokens());
    double[] got = forward(KvCacheFormat.of(policy).withCalibration(calibration), IDS);
    Closeness.assertNmse("dense pairs", got, forward(KvCacheFormat.F32, IDS), 1e-4);
  }

  @Test
  void aPolicyMayRotateOtherHeadsThanTheCalibrationDid() {
    KvPolicy fine = KvCacheFormat.of("int8").policy().orElseThrow();
    double[] exact = forward(KvCacheFormat.F32, IDS);
    List<double[]> all = new ArrayList<>();
    for (int heads : new int[] {4, 2}) {
      for (PermutationScope scope : PermutationScope.values()) {
        var rotation = new KvTransform.PreRopeGrouped(heads, scope);
        KvPolicy policy =
            new KvPolicy("r-8", rotation, fine.keyAxis(), fine.layers(), fine.tokens());
        KvCacheFormat format = KvCacheFormat.of(policy);
        for (var with : List.of(format, format.withCalibration(calibration))) {
          all.add(forward(with, IDS));
          Closeness.assertNmse("over " + rotation, all.get(all.size() - 1), exact, 1e-4);
        }
      }
    }
    // All 4 heads, in order and not; 2, in order and not. An order within 2 is one within a group.
    assertThat(all.stream().map(Arrays::hashCode).distinct()).hasSize(4);
  }

  @ParameterizedTest
  @ValueSource(strings = {"kv2", "kv2-wush", "rotatekv-2", "naive-4", "kivi-2"})
  void aForkAndASnapshotGoOnAsTheOriginal(String name, @TempDir Path folder) {
    Path file = folder.resolve("session.safetensors");
    LoadOptions options = LoadOptions.DEFAULT.withCacheFormat(format(name));
    try (MiniMaxModel quantized = MiniMaxModel.load(Nano.FOLDER, options);
        Session session = quantized.newSession()) {
      session.prefill(IDS);
      session.snapshot(file);
      try (Session fork = session.fork();
          Session restored = quantized.restore(file)) {
        for (int id : new int[] {7, 8, 9}) {
          float[] expected = session.decode(id);
          assertThat(fork.decode(id)).isEqualTo(expected);
          assertThat(restored.decode(id)).isEqualTo(expected);
        }
        assertThat(restored.cacheFormat()).isEqualTo(options.cacheFormat());
      }
    }
  }

  @Test
  void aSnapshotOfAnotherFormatIsRefused(@TempDir Path folder) throws Exception {
    Path file = folder.resolve("session.safetensors");
    LoadOptions options = LoadOptions.DEFAULT.withCacheFormat(format("kv2"));
    try (MiniMaxModel quantized = MiniMaxModel.load(Nano.FOLDER, options)) {
      try (Session session = quantized.newSession()) {
        session.prefill(IDS);
        session.snapshot(file);
      }
      assertThatThrownBy(() -> model.restore(file))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("cache expected exact, got kv2");
      KvCacheFormat uncalibrated = KvCacheFormat.of("kv2");
      try (MiniMaxModel other =
          MiniMaxModel.load(Nano.FOLDER, LoadOptions.DEFAULT.withCacheFormat(uncalibrated))) {
        assertThatThrownBy(() -> other.restore(file)).isInstanceOf(CheckpointException.class);
      }
      try (Session session = model.newSession()) {
        session.prefill(1, 2, 3);
        session.snapshot(file);
      }
      assertThatThrownBy(() -> quantized.restore(file))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("cache expected kv2, got exact");
      byte[] bytes = Files.readAllBytes(file);
      Files.write(file, Arrays.copyOf(bytes, bytes.length - 9));
      assertThatThrownBy(() -> quantized.restore(file)).isInstanceOf(CheckpointException.class);
    }
  }

  @Test
  void aPromptReadsItselfExactlyUnlessThePolicySaysOtherwise() {
    try (Session exact = model.newSession(KvCacheFormat.exact(DType.F16));
        Session kv2 = model.newSession(format("kv2"));
        Session rotated = model.newSession(format("rotatekv-2"))) {
      double[] truth = ModelContract.widen(exact.prefill(IDS));
      Closeness.assertNmse("kv2", ModelContract.widen(kv2.prefill(IDS)), truth, 1e-7);
      assertThat(apart(ModelContract.widen(rotated.prefill(IDS)), truth)).isGreaterThan(1e-6);
    }
  }

  @Test
  void aTokenOfATextReadsWhatAStepOfDecodingReads() {
    TokenPolicy tokens = TokenPolicy.NONE.withRecentWindow(16, 1);
    KvCacheFormat format = format("kv2").withTokens(tokens);
    double[] all = forward(format, IDS);
    double[] exact = forward(KvCacheFormat.F32, IDS);
    try (Session session = model.newSession(format)) {
      for (int id : IDS) {
        session.decode(id);
      }
      double[] steps = ModelContract.widen(session.logits());
      int last = all.length - steps.length;
      double far = apart(steps, Arrays.copyOfRange(exact, last, all.length));
      // Rounding may move a key or two across the border of a code.
      Closeness.assertNmse("steps", steps, Arrays.copyOfRange(all, last, all.length), far / 10);
    }
  }

  @Test
  void sinksOfThePromptStayExact() {
    TokenPolicy tokens = TokenPolicy.NONE.withMassiveActivations(256).withQuantizedPrefill(true);
    KvCacheFormat sinks = format("naive-2").withTokens(tokens);
    int[] two = {IDS[0], IDS[1]};
    double[] exact = forward(KvCacheFormat.exact(DType.F16), two);
    // 256 activations are all there are of two tokens.
    Closeness.assertNmse("sinks", forward(sinks, two), exact, 1e-10);
    assertThat(apart(forward(format("naive-2"), two), exact)).isGreaterThan(1e-6);
  }

  @Test
  void memoryShrinksWithTheBits() {
    int[] prompt = new Random(5).ints(2048, 0, 2048).toArray();
    try (Session wide = model.newSession(KvCacheFormat.exact(DType.BF16));
        Session narrow = model.newSession(format("rotatekv-2"));
        Session windowed = model.newSession(format("kv2"))) {
      wide.prefill(prompt);
      narrow.prefill(prompt);
      windowed.prefill(prompt);
      // 2 bits, a byte each for scale and zero point: of 128 channels of keys, 64 of values.
      assertThat(narrow.packedBitsPerElement()).isEqualTo(2 + (0.125 + 0.25) / 2);
      assertThat(wide.packedBitsPerElement()).isZero();
      assertThat(wide.storedBitsPerElement()).isEqualTo(16);
      assertThat(narrow.storedBitsPerElement())
          .isBetween(
              narrow.packedBitsPerElement(), narrow.packedBitsPerElement() + 14 * 20 / 2048.);
      assertThat(wide.cacheBytes()).isEqualTo(2048L * 2 * 256 * 2);
      assertThat(narrow.cacheBytes()).isLessThan(wide.cacheBytes() / 4);
      // Packed pages, three of the window at most, and one of sinks.
      long page = 64L * 2 * 256 * 2;
      assertThat(windowed.cacheBytes()).isLessThan(2048 * 2 * 256 * 9 / 32 + 4 * page);
    }
  }

  @Test
  void sessionsKeepNoMemory() {
    KvCacheFormat format = format("kv2");
    FlatMemory.assertFlat(
        "quantized sessions",
        300,
        () -> {
          try (Session session = model.newSession(format)) {
            session.prefill(1, 2, 3);
            session.decode(4);
          }
        });
  }

  @Test
  void calibrationsThatDoNotFit() {
    LoadOptions calibrated = LoadOptions.DEFAULT.withCacheFormat(format("kv2"));
    Path other = ModelFixture.root().resolve("alt_gqa_b32/hf");
    assertThatThrownBy(() -> MiniMaxModel.load(other, calibrated))
        .isInstanceOfSatisfying(
            CalibrationException.class,
            fault -> assertThat(fault.reason()).isEqualTo(Reason.OTHER_MODEL));
    assertThatThrownBy(() -> model.newSession(KvCacheFormat.of("kv2-wush")))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("minimax calibrate");
    assertThatThrownBy(() -> KvCacheFormat.of("int8").withCalibration(calibration))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("calibration: int8 needs none");
    assertThatThrownBy(() -> KvCacheFormat.of("kv9"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("rotatekv-2");
  }

  @Test
  void severalSoftmaxLayersAreCalibratedEach() {
    Path folder = ModelFixture.root().resolve("alt_gqa_b32/hf");
    int[] ids = new Random(6).ints(90, 0, 128).toArray();
    Path file = temp.resolve("two.safetensors");
    try (MiniMaxModel two = MiniMaxModel.load(folder)) {
      Calibration made = KvCalibration.of(two, ids, 40, "random", ProgressListener.NONE);
      assertThat(made.layers()).hasSize(2);
      assertThat(made.source().tokens()).isEqualTo(90);
      assertThat(made.layers().get(0).keyMean()).isNotEqualTo(made.layers().get(1).keyMean());
      CalibrationFile.write(file, made);
      // Random weights amplify every error: closeness is held on the trained model.
      for (String name : new String[] {"rotatekv-4", "kv2", "kv2-wush"}) {
        try (Session session = two.newSession(KvCacheFormat.of(name).withCalibration(file))) {
          session.prefill(ids);
          for (float logit : session.decode(3)) {
            assertThat(logit).isFinite();
          }
        }
      }
    }
  }
}

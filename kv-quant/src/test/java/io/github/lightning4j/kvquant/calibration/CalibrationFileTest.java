package io.github.lightning4j.kvquant.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.kvquant.calibration.CalibrationException.Reason;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class CalibrationFileTest {
  @TempDir private Path folder;
  private Path file;
  private Calibration calibration;
  private long liveBefore;

  @BeforeEach
  void makeOne() {
    liveBefore = Memory.liveBytes();
    file = folder.resolve("kv.safetensors");
    var calibrator = new Calibrator(2, GroupedBasis.of(2, 8, 2), PermutationScope.LAYER);
    try (MemoryScope scope = new MemoryScope()) {
      for (int layer = 0; layer < 2; layer++) {
        Tensor k = scope.add(Cases.normal(layer, DType.F32, 20, 16));
        calibrator.addKeys(layer, k);
        calibrator.addScores(layer, scope.add(Cases.normal(5, DType.F32, 20, 32)), k);
      }
      calibrator.addValues(1, scope.add(Cases.normal(6, DType.F32, 20, 16)));
      calibrator.outputProjection(1, scope.add(Cases.normal(7, DType.F32, 9, 32)));
    }
    calibration = calibrator.finish("sha256:abc", "stories", "train");
    CalibrationFile.write(file, calibration);
  }

  @AfterEach
  void everythingWasFreed() {
    assertThat(Memory.liveBytes()).isEqualTo(liveBefore);
  }

  @Test
  void aSalienceIsKeptWhereItWasMeasured() {
    List<LayerCalibration> layers = new ArrayList<>(calibration.layers());
    layers.set(1, layers.get(1).withTextSalience(OptionalDouble.of(2.1)));
    CalibrationFile.write(file, new Calibration(calibration.source(), layers));
    Calibration read = CalibrationFile.read(file, "sha256:abc");
    assertThat(read.layers().get(0).textSalience()).isEmpty();
    assertThat(read.layers().get(1).textSalience()).hasValue(2.1);
    assertThat(read.layers().get(1).keyMean()).isEqualTo(layers.get(1).keyMean());
    assertThatIllegalArgumentException()
        .isThrownBy(() -> layers.get(1).withTextSalience(OptionalDouble.of(Double.NaN)))
        .withMessageStartingWith("textSalience: expected >= 0");
  }

  @Test
  void readsWhatItWrote() {
    Calibration read = CalibrationFile.read(file, "sha256:abc");
    assertThat(read.source()).isEqualTo(calibration.source());
    assertThat(read.layers()).hasSize(2);
    for (int i = 0; i < 2; i++) {
      LayerCalibration expected = calibration.layers().get(i);
      LayerCalibration layer = read.layers().get(i);
      assertThat(layer.basis()).isEqualTo(expected.basis());
      assertThat(layer.keyMean()).isEqualTo(expected.keyMean());
      assertThat(layer.keyPairs()).hasSize(2);
      assertThat(layer.valuePairs()).hasSize(i == 0 ? 0 : 2);
      for (int h = 0; h < 2; h++) {
        assertThat(layer.keyPairs().get(h).inverse())
            .containsExactly(expected.keyPairs().get(h).inverse(), within(1e-5));
      }
    }
    Path again = folder.resolve("again.safetensors");
    CalibrationFile.write(again, read);
    assertThat(CalibrationFile.read(again, "sha256:abc")).isEqualTo(read); // rounded once
  }

  private CalibrationException refused(String modelHash) {
    return catchThrowableOfType(
        CalibrationException.class, () -> CalibrationFile.read(file, modelHash));
  }

  @Test
  void anotherModel() {
    CalibrationException refusal = refused("sha256:def");
    assertThat(refusal)
        .hasMessage(
            file + ": made for the model sha256:abc, expected sha256:def; calibrate this model");
    assertThat(refusal.reason()).isEqualTo(Reason.OTHER_MODEL);
    assertThat(refusal.file()).isEqualTo(file);
  }

  @Test
  void cutShortAnywhere() throws IOException {
    byte[] whole = Files.readAllBytes(file);
    for (int length : new int[] {0, 4, 8, 100, whole.length / 2, whole.length - 1}) {
      Files.write(file, Arrays.copyOf(whole, length));
      assertThat(refused("sha256:abc").reason()).isEqualTo(Reason.BROKEN);
    }
  }

  @Test
  void missing() {
    file = folder.resolve("none");
    assertThat(refused("sha256:abc").reason()).isEqualTo(Reason.BROKEN);
  }

  /** Writes the file again with something changed. */
  private void change(BiConsumer<Map<String, Tensor>, Map<String, String>> change) {
    try (MemoryScope scope = new MemoryScope()) {
      Map<String, Tensor> tensors = new HashMap<>();
      Map<String, String> metadata;
      try (SafetensorsFile stored = SafetensorsFile.open(file)) {
        metadata = new HashMap<>(stored.metadata());
        for (String name : stored.names()) {
          Tensor tensor = stored.tensor(name);
          Tensor copy = scope.allocate(tensor.dtype(), tensor.shape());
          copy.copyFrom(tensor);
          tensors.put(name, copy);
        }
      }
      change.accept(tensors, metadata);
      SafetensorsWriter.write(file, tensors, metadata);
    }
  }

  private void assertBroken(String part) {
    CalibrationException refusal = refused("sha256:abc");
    assertThat(refusal).hasMessageContaining(part);
    assertThat(refusal.reason()).isEqualTo(Reason.BROKEN);
  }

  @Test
  void anotherVersion() {
    change((tensors, metadata) -> metadata.put("version", "2"));
    assertThat(refused("sha256:abc"))
        .hasMessage(file + ": expected version 1, got 2; calibrate the model again")
        .extracting(CalibrationException::reason)
        .isEqualTo(Reason.VERSION);
  }

  @Test
  void anotherKindOfFile() {
    change((tensors, metadata) -> metadata.remove("format"));
    assertBroken("expected format 'lightning4j-kv-calibration', got 'null'");
  }

  @Test
  void metadataThatIsMissingOrNoNumber() {
    change((tensors, metadata) -> metadata.remove("corpus"));
    assertBroken("metadata: expected 'corpus', which is missing");
    change((tensors, metadata) -> metadata.put("corpus", "stories"));
    change((tensors, metadata) -> metadata.put("layers", "two"));
    assertBroken("\"two\"");
  }

  @Test
  void tensorThatIsMissing() {
    change((tensors, metadata) -> tensors.remove("layers.1.key.mean"));
    assertBroken("no tensor 'layers.1.key.mean'");
  }

  @Test
  void tensorOfAnotherShape() {
    change((tensors, metadata) -> metadata.put("head_dim", "16"));
    assertBroken("layers.0.key.permutation: expected U16 [32], got U16 [16]");
  }

  @Test
  void permutationThatIsNone() {
    change(
        (tensors, metadata) -> tensors.get("layers.0.key.permutation").accessor().setLong(3, 99));
    assertBroken("permutation[3]: expected each of 16 channels once, got 99");
  }
}

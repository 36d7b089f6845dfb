package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

final class ModelReportTest {
  @Test
  void theReleasedModelIsToldFromConfigAndIndexAlone() {
    Path released =
        Path.of(
            System.getProperty(
                "lightning4j.shared",
                System.getProperty("lightning4j.repository", "..") + "/../shared"),
            "minimax-m1");
    Assumptions.assumeTrue(Files.isDirectory(released), "no folder " + released);
    ModelReport report = ModelReport.inspect(released);
    assertThat(report.totalParameters()).isEqualTo(456_089_655_296L);
    assertThat(report.activeParameters() / 1e9).isCloseTo(45.9, within(0.05));
    assertThat(report.storedBytes()).isEqualTo(912_210_767_872L);
    assertThat(report.storedAs()).isEqualTo("16-bit weights, fp32 router weights");
    assertThat(report.kvBytesPerToken(DType.BF16)).isEqualTo(40_960);
    assertThat(report.stateBytes()).isEqualTo(280L << 20);
    assertThat(report.missingShards()).hasSize(413);
    assertThat(report.layerSummary()).isEqualTo("70 lightning, 10 softmax");
    assertThat(report.weightBytes(StorageFormat.INT8_G128) / 1e9).isCloseTo(466, within(1.0));
    assertThat(report.weightBytes(StorageFormat.INT4_G128) / 1e9).isCloseTo(239, within(1.0));
    assertThat(report.weightBytes(StorageFormat.INT8_G128, 8) / 1e9).isCloseTo(79.2, within(0.2));
    assertThat(report.decodeBytes(StorageFormat.BF16) / 1e9).isCloseTo(94.4, within(0.1));
    assertThat(report.decodeFloor(StorageFormat.BF16, 460e9)).isCloseTo(4.9, within(0.05));
  }

  @Test
  void theEmbeddedModelIsToldFromItsFile() {
    ModelReport report = ModelReport.inspect(Nano.FOLDER);
    assertThat(report.storedBytes()).isEqualTo(13_082_368);
    assertThat(report.storedAs()).isEqualTo("16-bit weights, fp32 router weights");
    assertThat(report.missingShards()).isEmpty();
    assertThat(report.totalParameters()).isEqualTo(6_532_992);
    assertThat(report.stateBytes()).isEqualTo(4L * 7 * 4 * 64 * 64);
  }
}

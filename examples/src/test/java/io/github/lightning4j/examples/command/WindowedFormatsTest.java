package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.minimax.KvCacheFormat;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** The formats of reports, and how many recent tokens they keep. */
final class WindowedFormatsTest {
  private static TokenPolicy tokens(KvCacheFormat format) {
    return format.policy().orElseThrow().tokens();
  }

  @Test
  void recentTokensAreTheSameInAllFormatsThatKeepAny() {
    WindowedFormats formats = new WindowedFormats(24, Optional.empty());
    assertThat(formats.of("akvq-2").classes().orElseThrow().recentWindow()).isEqualTo(24);
    assertThat(tokens(formats.of("kv2")))
        .isEqualTo(KvPresets.of("kv2").tokens().withRecentWindow(24, 1));
    assertThat(tokens(formats.of("kivi-2")).recentWindow()).isEqualTo(24);
    assertThat(tokens(formats.of("kivi-2")).flush())
        .isEqualTo(KvPresets.of("kivi-2").tokens().flush());
    assertThat(tokens(formats.of("rotatekv-2"))).isEqualTo(KvPresets.of("rotatekv-2").tokens());
    assertThat(tokens(formats.keepingAsAkvq("rotatekv-2")))
        .isEqualTo(TokenPolicy.NONE.withMassiveActivations(15).withRecentWindow(24, 1));
    assertThat(formats.all("f16", "int8"))
        .isEqualTo(List.of(KvCacheFormat.of("f16"), KvCacheFormat.of("int8")));
  }

  @Test
  void aCalibrationGoesWhereItIsUsed() {
    Path file = Path.of("x");
    WindowedFormats formats = new WindowedFormats(24, Optional.of(file));
    assertThat(formats.of("bf16").calibration()).isEmpty();
    assertThat(formats.of("naive-2").calibration()).isEmpty();
    assertThat(formats.of("kv2").calibration()).contains(file);
    assertThat(formats.keepingAsAkvq("rotatekv-2").calibration()).contains(file);
    assertThat(KvReport.formats(24, file))
        .filteredOn(
            format -> format.policy().map(p -> p.tokens().recentWindow() == 24).orElse(false))
        .extracting(KvCacheFormat::name)
        .contains("kv2", "kv2-affine", "kv2-wush", "kivi-2", "rotatekv-2 + window")
        .doesNotContain("rotatekv-2", "naive-2", "kv2-wush - window");
  }
}

package io.github.lightning4j.examples.command;

import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * Formats of key-value caches for comparison, with the same number of recent tokens in 16 bits.
 *
 * @param recent how many these are, where a format keeps any
 * @param calibration for the formats that use one; empty for none
 */
record WindowedFormats(int recent, Optional<Path> calibration) {
  /** A format by its name; it keeps no recent tokens if its authors keep none. */
  KvCacheFormat of(String name) {
    if (VlmPolicy.names().contains(name)) {
      return calibrated(KvCacheFormat.of(VlmPolicy.preset(name).withRecentWindow(recent)));
    }
    if (!KvPresets.names().contains(name)) {
      return KvCacheFormat.of(name);
    }
    KvPolicy policy = KvPresets.of(name);
    TokenPolicy tokens = policy.tokens();
    if (tokens.recentWindow() == 0) {
      return calibrated(KvCacheFormat.of(policy));
    }
    return with(tokens.withRecentWindow(recent, tokens.flush()), name, "");
  }

  /** A format with as many tokens kept as {@code akvq} keeps: pivots, and recent ones. */
  KvCacheFormat keepingAsAkvq(String name) {
    int pivots = VlmPolicy.preset("akvq-2").pivots();
    TokenPolicy tokens = TokenPolicy.NONE.withMassiveActivations(pivots);
    return with(tokens.withRecentWindow(recent, 1), name, " + window");
  }

  /** A format with other tokens kept, and a name that says so. */
  KvCacheFormat with(TokenPolicy tokens, String name, String suffix) {
    return calibrated(
        KvCacheFormat.of(KvPresets.of(name).withTokens(tokens).withName(name + suffix)));
  }

  /** All of some names. */
  List<KvCacheFormat> all(String... names) {
    return List.of(names).stream().map(this::of).toList();
  }

  private KvCacheFormat calibrated(KvCacheFormat format) {
    return format.usesCalibration()
        ? calibration.map(format::withCalibration).orElse(format)
        : format;
  }
}

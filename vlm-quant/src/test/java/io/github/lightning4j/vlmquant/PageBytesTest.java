package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.LongStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The table of README.md: pages after a prompt, beside those of a 16-bit cache. */
final class PageBytesTest {
  @ParameterizedTest
  @ValueSource(ints = {500, 4096, 16384})
  void isTheOneShown(int length) throws IOException {
    VlmCacheConfig config =
        VlmCacheConfig.of(8, 128, VlmPolicy.preset("akvq-2"), LayerPattern.PIVOT_SALIENT, 0);
    TokenClass[] classes = new TokenClass[length];
    for (int t = 0; t < length; t++) {
      classes[t] = t % 3 == 0 ? TokenClass.TEXT : TokenClass.VISUAL;
    }
    try (VlmCache cache = VlmCache.create(config);
        KvCache exact = KvCache.create(8, 128, DType.BF16);
        Tensor kv = Tensor.allocate(DType.F32, length, 8, 128)) {
      cache.beginPrompt();
      cache.append(kv, kv, classes);
      cache.endPrompt(LongStream.range(0, 15).toArray());
      exact.append(kv, kv);
      String row =
          String.format(
              Locale.ROOT,
              "| %,d | %,d | %,d | %.2f | %.2f |",
              length,
              exact.bytes(),
              cache.bytes(),
              (double) exact.bytes() / cache.bytes(),
              16 / cache.account().averageBits());
      Path module = Path.of(System.getProperty("lightning4j.repository"), "vlm-quant");
      assertThat(Files.readString(module.resolve("README.md"))).contains(row);
    }
  }
}

package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.PageBudget;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.LongStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The most that pages take while prompts of AKVQ-VL's setting are read and go on, and the table of
 * README.md. Pages count whole, in 16 bits too: what their rounding gives either is in the ratio,
 * so it is told against the bytes of the tokens alone as well.
 */
final class PagePeakTest {
  private static final int DECODED = 20;
  private static final int KV_HEADS = 1;
  private static final int DIM = 128;

  @ParameterizedTest
  @CsvSource({"500, 40, 2.1", "4096, 16, 4"})
  void isSoManyTimesLessThanSixteenBits(int tokens, int batch, double times) throws IOException {
    PageBudget budget = PageBudget.unlimited();
    TokenClass[] classes = new TokenClass[tokens];
    Arrays.setAll(classes, t -> t % 3 == 0 ? TokenClass.TEXT : TokenClass.VISUAL);
    VlmCacheConfig config =
        VlmCacheConfig.of(KV_HEADS, DIM, VlmPolicy.preset("akvq-2"), LayerPattern.PIVOT_SALIENT, 0);
    long peak = 0;
    try (MemoryScope scope = new MemoryScope()) {
      Tensor kv = scope.add(Cases.normal(1, DType.F32, tokens + DECODED, KV_HEADS, DIM));
      Tensor prompt = kv.narrow(0, 0, tokens);
      List<VlmCache> caches = new ArrayList<>();
      for (int i = 0; i < batch; i++) {
        VlmCache cache = scope.add(VlmCache.create(config, budget));
        caches.add(cache);
        long before = budget.used();
        long needed = cache.bytesNeeded(tokens, false);
        cache.beginPrompt();
        cache.append(prompt, prompt, classes);
        peak = Math.max(peak, budget.used());
        assertThat(cache.bytes()).isLessThanOrEqualTo(needed);
        cache.settlePrompt(LongStream.range(0, 15).map(p -> 20 * p).toArray());
        peak = Math.max(peak, budget.used());
        assertThat(budget.used() - before).isLessThanOrEqualTo(needed);
        cache.append(kv.narrow(0, tokens, 1), kv.narrow(0, tokens, 1)); // lets the prompt go
      }
      for (int t = tokens + 1; t < tokens + DECODED; t++) {
        for (VlmCache cache : caches) {
          long before = cache.bytes();
          long needed = cache.bytesNeeded(1, false);
          cache.append(kv.narrow(0, t, 1), kv.narrow(0, t, 1));
          assertThat(cache.bytes() - before).isLessThanOrEqualTo(needed);
          peak = Math.max(peak, budget.used());
        }
      }
      KvCache exact = scope.add(KvCache.create(KV_HEADS, DIM, DType.BF16));
      exact.append(kv, kv);
      long pages = batch * exact.bytes();
      long alone = batch * kv.elements() * 2 * DType.BF16.bytes();
      assertThat((double) alone / peak).isGreaterThanOrEqualTo(times);
      String row =
          String.format(
              Locale.ROOT,
              "| %,d | %d | %,d | %,d | %.2f | %.2f |",
              tokens,
              batch,
              pages,
              peak,
              (double) pages / peak,
              (double) alone / peak);
      Path module = Path.of(System.getProperty("lightning4j.repository"), "vlm-quant");
      assertThat(Files.readString(module.resolve("README.md"))).contains(row);
    }
    assertThat(budget.used()).isZero();
  }
}

package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvPages;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.CachePlan;
import java.util.List;
import java.util.stream.Collectors;

/** Which formats of keys and values a GPU has. */
final class DeviceFormats {
  private DeviceFormats() {}

  /**
   * What the caches of a plan hold on a GPU: BF16 where the plan has 16 bits.
   *
   * @throws IllegalArgumentException if kernels do not have its format; tells which they have
   */
  static List<KvCacheConfig> configs(MiniMaxConfig model, CachePlan plan) {
    try {
      return checked(plan);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "caches: a GPU has keys and values in "
              + names(model)
              + "; got "
              + plan.format().name()
              + " ("
              + e.getMessage()
              + ")",
          e);
    }
  }

  private static List<KvCacheConfig> checked(CachePlan plan) {
    KvCacheFormat format = plan.format();
    if (format.policy().isEmpty() && format.exact() != DType.BF16) {
      throw new IllegalArgumentException("exact caches are bf16 there");
    }
    List<KvCacheConfig> configs =
        plan
            .configs()
            .orElseThrow(() -> new IllegalArgumentException("it runs on the CPU only"))
            .stream()
            .map(one -> one.withDtype(DType.BF16).withPageTokens(CudaKvPages.PAGE_TOKENS))
            .toList();
    configs.forEach(CudaKvCache::check);
    return configs;
  }

  private static String names(MiniMaxConfig model) {
    return KvCacheFormat.names().stream()
        .filter(name -> has(model, KvCacheFormat.of(name)))
        .collect(Collectors.joining(", "));
  }

  private static boolean has(MiniMaxConfig model, KvCacheFormat format) {
    try {
      checked(new CachePlan(model, format, null, PageBudget.unlimited()));
      return true;
    } catch (IllegalArgumentException e) {
      return false;
    }
  }
}

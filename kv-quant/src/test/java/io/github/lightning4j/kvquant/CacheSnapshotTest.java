package io.github.lightning4j.kvquant;

import static io.github.lightning4j.kvquant.CacheContents.contents;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A cache comes back from disk to the bit, or not at all. */
final class CacheSnapshotTest {
  private static final KvCacheConfig CONFIG =
      QuantizedScene.grouped(2, 64, 2, QuantizedScene.affine(2, 64))
          .withTokens(TokenPolicy.NONE.withFirstTokens(2).withRecentWindow(20, 1));

  @TempDir Path folder;

  private Path saved(QuantizedScene scene) {
    Path file = folder.resolve("cache");
    try (KvCache cache = KvCache.create(scene.config)) {
      scene.append(cache, 0, 90);
      cache.save(file);
    }
    return file;
  }

  private static KvCache load(Path file) {
    return KvCache.load(file, CONFIG, PageBudget.unlimited());
  }

  @Test
  void comesBackAndGoesOn() {
    for (KvCacheConfig config :
        new KvCacheConfig[] {
          CONFIG,
          KvCacheConfig.exact(2, 6, DType.BF16),
          KvCacheConfig.exact(2, 6, DType.BF16).withPageTokens(16),
          QuantizedScene.rotated(2, 128, QuantizedScene.affine(2, 128)) // no exact page
        }) {
      try (QuantizedScene scene = new QuantizedScene(config, 150, 1);
          KvCache cache = KvCache.create(config)) {
        Path file = folder.resolve("cache");
        scene.append(cache, 0, 90);
        cache.save(file);
        try (KvCache loaded = KvCache.load(file, config, PageBudget.unlimited())) {
          assertThat(loaded.length()).isEqualTo(90);
          assertThat(loaded.bytes()).isEqualTo(cache.bytes());
          assertThat(contents(loaded)).isEqualTo(contents(cache));
          scene.append(cache, 90, 60);
          scene.append(loaded, 90, 60);
          assertThat(contents(loaded)).isEqualTo(contents(cache));
        }
      }
    }
  }

  @Test
  void anEmptyCacheComesBack() {
    Path file = folder.resolve("cache");
    try (KvCache cache = KvCache.create(CONFIG)) {
      cache.save(file);
    }
    try (KvCache loaded = load(file)) {
      assertThat(loaded.length()).isZero();
    }
  }

  @Test
  void refusesWhatIsCutOff() throws IOException {
    try (QuantizedScene scene = new QuantizedScene(CONFIG, 90, 1)) {
      byte[] whole = Files.readAllBytes(saved(scene));
      long live = Memory.liveBytes();
      Path cut = folder.resolve("cut");
      for (int length : new int[] {0, 7, 11, 100, 300, whole.length / 2, whole.length - 1}) {
        Files.write(cut, java.util.Arrays.copyOf(whole, length));
        assertThatThrownBy(() -> load(cut))
            .isInstanceOf(CheckpointException.class)
            .hasMessageContaining("truncated");
      }
      assertThat(Memory.liveBytes()).isEqualTo(live);
    }
  }

  @Test
  void refusesWhatIsDamaged() throws IOException {
    try (QuantizedScene scene = new QuantizedScene(CONFIG, 90, 1)) {
      byte[] whole = Files.readAllBytes(saved(scene));
      long live = Memory.liveBytes();
      Path damaged = folder.resolve("damaged");
      for (int at = 0; at < whole.length; at += at < 600 ? 1 : 997) {
        whole[at] ^= 0x10;
        Files.write(damaged, whole);
        assertThatThrownBy(() -> load(damaged)).isInstanceOf(CheckpointException.class);
        whole[at] ^= 0x10;
      }
      assertThat(Memory.liveBytes()).isEqualTo(live);
    }
  }

  @Test
  void refusesAnotherConfiguration() {
    try (QuantizedScene scene = new QuantizedScene(CONFIG, 90, 1)) {
      Path file = saved(scene);
      KvCacheConfig other = CONFIG.withTokens(TokenPolicy.NONE);
      assertThatThrownBy(() -> KvCache.load(file, other, PageBudget.unlimited()))
          .isInstanceOf(CheckpointException.class)
          .hasMessageContaining("made with another configuration");
    }
  }

  @Test
  void refusesToExceedTheBudget() {
    try (QuantizedScene scene = new QuantizedScene(CONFIG, 90, 1)) {
      Path file = saved(scene);
      PageBudget budget = PageBudget.ofBytes(1000);
      assertThatThrownBy(() -> KvCache.load(file, CONFIG, budget))
          .isInstanceOf(PageBudgetException.class);
      assertThat(budget.used()).isZero();
    }
  }
}

package io.github.lightning4j.moe.parallel;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.TensorInfo;
import java.nio.charset.StandardCharsets;
import java.util.TreeSet;

/**
 * What tells a checkpoint from others without reading all of it: a digest of the names, types and
 * shapes of its tensors, and of samples of their elements. Ranks that give it to {@link
 * ParallelExperts#of} are refused if they opened different checkpoints.
 *
 * <p>Of each tensor 16 runs of 16 elements are read, evenly spread from the first element to the
 * last; a tensor of at most 256 elements is read whole. So a change of a few elements of a large
 * tensor may pass; another training step, another layer or another quantization does not. Cost: at
 * most 32 pages of each tensor.
 */
public final class CheckpointFingerprint {
  private static final int RUNS = 16;
  private static final int LENGTH = 16;

  private CheckpointFingerprint() {}

  /**
   * The fingerprint of a file or folder, the same whatever the order of tensors and their split in
   * shards.
   *
   * @return {@code sha256:} and 64 hexadecimal digits
   * @throws IllegalStateException if it is closed
   */
  public static String of(Safetensors weights) {
    Hasher hasher = Hashing.sha256().newHasher();
    for (String name : new TreeSet<>(weights.names())) {
      TensorInfo info = weights.info(name);
      hasher.putInt(name.length()).putString(name, StandardCharsets.UTF_8);
      hasher.putInt(info.type().ordinal()).putInt(info.shape().length);
      for (long size : info.shape()) {
        hasher.putLong(size);
      }
      if (info.dtype() != null && info.elements() > 0) { // elements of other types cannot be read
        sample(weights.tensor(name).accessor(), info, hasher);
      }
    }
    return "sha256:" + hasher.hash();
  }

  private static void sample(Elements from, TensorInfo info, Hasher hasher) {
    long elements = info.elements();
    boolean whole = elements <= RUNS * LENGTH;
    int runs = whole ? 1 : RUNS;
    long length = whole ? elements : LENGTH;
    for (int run = 0; run < runs; run++) {
      long first = whole ? 0 : (elements - LENGTH) / (RUNS - 1) * run;
      if (run > 0 && run == runs - 1) {
        first = elements - LENGTH;
      }
      for (long i = first; i < first + length; i++) {
        hasher.putDouble(from.get(i));
      }
    }
  }
}

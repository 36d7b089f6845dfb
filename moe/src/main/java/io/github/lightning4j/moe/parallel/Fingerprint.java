package io.github.lightning4j.moe.parallel;

import com.google.common.hash.Hashing;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import io.github.lightning4j.moe.balance.ReplicaPlacement;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** What must be the same on all ranks, in words short enough to compare. */
final class Fingerprint {
  private static final int LONGEST = 200;

  private Fingerprint() {}

  static String of(ExpertParallelism sizes, int experts, Experts local, ParallelOptions options) {
    ReplicaPlacement placement = options.placement();
    Capacity capacity = options.capacity();
    return String.format(
        "ep=%d etp=%d edp=%d experts=%d local=%d hidden=%d intermediate=%d weights=%s tokenGroups=%d"
            + " capacity=%s globalRouter=%s placement=%s",
        sizes.ep(),
        sizes.etp(),
        sizes.edp(),
        experts,
        local.experts(),
        local.hidden(),
        local.intermediate() * sizes.etp(),
        format(local),
        options.tokenGroups(),
        capacity == null ? "none" : capacity,
        options.globalRouter(),
        placement == null ? "none" : digest(Arrays.toString(placement.physicalToLogical())));
  }

  private static String format(Experts local) {
    return local instanceof QuantizedExpertWeights quantized
        ? quantized.format().toString()
        : ((ExpertWeights) local).dtype().toString();
  }

  /** A text itself, or a digest where it is long. */
  static String shortened(String text) {
    return text.length() <= LONGEST ? text : digest(text);
  }

  private static String digest(String text) {
    return "sha256:" + Hashing.sha256().hashString(text, StandardCharsets.UTF_8);
  }
}

package io.github.lightning4j.minimax;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.minimax.SessionGroup.Reading;
import io.github.lightning4j.minimax.internal.Drafts;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.NcclCommunicator;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** What tests of ranks that share experts out have in common. */
final class RankScene {
  private static final PageBudget BUDGET = PageBudget.ofBytes(1 << 16);

  /** Two bits behind a window of three tokens. */
  static final KvCacheFormat QUANTIZED =
      KvCacheFormat.of("kv2")
          .withTokens(TokenPolicy.NONE.withFirstTokens(1).withRecentWindow(3, 1));

  private RankScene() {}

  static void needsTwoGpus() {
    assumeTrue(CudaDevice.count() >= 2, "one GPU");
    assumeTrue(
        NcclCommunicator.availability().isAvailable(),
        () -> NcclCommunicator.availability().reason());
  }

  static LoadOptions gpu(int index) {
    return LoadOptions.DEFAULT
        .withDevice(Device.cuda(index))
        .withCacheBudget(BUDGET)
        .withPrefillChunk(12);
  }

  /** A rank has the GPU of its number. */
  static LoadOptions share(Communicator ranks) {
    return gpu(ranks.rank()).withRanks(ranks);
  }

  static int[] ids(long seed, int count) {
    return new Random(seed).ints(count, 3, 90).toArray();
  }

  /** One step of a session. */
  static void read(Session session, int[] ids, Reading reading, @Nullable Drafts drafts) {
    SessionGroup.run(List.of(new SessionGroup.Turn(session, ids, reading, drafts)));
  }
}

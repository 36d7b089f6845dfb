package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** The snippet of README.md on ranks, run; and the check that it still is the one shown there. */
final class ReadmeRanksTest {
  @Test
  void runs() throws Exception {
    Assumptions.assumeFalse(MpiCommunicator.isLaunched());
    // snippet
    RankTask task =
        world -> {
          world.checkSame("config", "hidden=64 experts=8"); // or a digest of it
          long[] rowsTo = new long[world.size()];
          Arrays.fill(rowsTo, 2); // your router's counts
          long[] rowsFrom = world.allToAllCounts(rowsTo);
          Tensor send = Tensor.allocate(DType.BF16, Arrays.stream(rowsTo).sum(), 64);
          Tensor out = Tensor.allocate(DType.BF16, Arrays.stream(rowsFrom).sum(), 64);
          PendingTransfer transfer = world.allToAllAsync(send, rowsTo, out, rowsFrom);
          // compute something else
          transfer.await(); // if a rank has failed, it throws: then leave the tensors open
          send.close();
          out.close();
        };
    ThreadCommunicator.run(4, task); // threads of this JVM
    MpiCommunicator.run(task); // under mpirun; by itself: a world of one rank
    // end of snippet
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "moe");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/moe/comm/ReadmeRanksTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet")).stripIndent();
    assertThat(Files.readString(module.resolve("README.md"))).contains(snippet.strip());
  }
}

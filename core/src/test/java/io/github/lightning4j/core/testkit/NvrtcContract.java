package io.github.lightning4j.core.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every CUDA source of a module compiles by NVRTC itself, for every generation of GPUs; needs no
 * GPU. Subclasses are called {@code ...NvrtcCheck} and run by the profile {@code nvrtc}, which
 * fails where NVRTC is missing; elsewhere they are skipped.
 */
public abstract class NvrtcContract {
  /** EM_CUDA of an ELF header. */
  private static final int CUDA_MACHINE = 190;

  /** What includes it is for one generation alone. */
  private static final String HOPPER_HEADER = "wgmma_cuda.cuh";

  private final Class<?> owner;
  private final List<KernelSource> sources;

  /**
   * A contract over some sources.
   *
   * @param owner a class of the module's main code
   * @param sources every source, in each form that differs in more than a number
   */
  protected NvrtcContract(Class<?> owner, List<KernelSource> sources) {
    this.owner = owner;
    this.sources = sources;
  }

  @ParameterizedTest
  @ValueSource(strings = {"sm_80", "sm_90a", "sm_100"})
  void compilesEverySource(String architecture) {
    assumeTrue(Boolean.getBoolean("lightning4j.nvrtc"), "runs in the profile nvrtc");
    for (KernelSource source : sources) {
      if (source.headers().containsKey(HOPPER_HEADER) && !architecture.equals("sm_90a")) {
        continue;
      }
      byte[] image = KernelModule.compile(source, architecture);
      assertThat(image).as("%s for %s", source, architecture).startsWith(0x7f, 'E', 'L', 'F');
      assertThat(image[18] & 0xff).isEqualTo(CUDA_MACHINE);
    }
  }

  @Test
  void knowsEverySource() throws IOException, URISyntaxException {
    Path root = Path.of(owner.getProtectionDomain().getCodeSource().getLocation().toURI());
    try (Stream<Path> files = Files.walk(root)) {
      Set<String> there =
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.endsWith(".cu"))
              .collect(Collectors.toCollection(TreeSet::new));
      Set<String> known =
          sources.stream().map(KernelSource::name).collect(Collectors.toCollection(TreeSet::new));
      assertThat(known).isEqualTo(there);
    }
  }
}

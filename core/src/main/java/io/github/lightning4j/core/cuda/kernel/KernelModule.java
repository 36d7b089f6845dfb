package io.github.lightning4j.core.cuda.kernel;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Cuda;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaException;
import io.github.lightning4j.core.cuda.internal.CubinCache;
import io.github.lightning4j.core.cuda.internal.Modules;
import io.github.lightning4j.core.cuda.internal.Nvrtc;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Kernels of one source on one GPU, loaded at most once a process and kept until it ends.
 *
 * <p>NVRTC compiles the text to machine code of the very GPU (no PTX, which an older driver may
 * refuse), with {@code --std=c++17} and no fast mathematics but what the text asks for. The result
 * is kept in {@code ~/.cache/lightning4j/cubin}, or where the system property {@code
 * lightning4j.cuda.cache} says, under a hash of the text, its headers, the options, NVRTC's version
 * and the GPU. Files whose content is not what was written are made again; where the folder cannot
 * be written, all works without it, with one warning.
 */
public final class KernelModule {
  private record Key(CudaDevice device, KernelSource source) {}

  private static final ConcurrentHashMap<Key, KernelModule> LOADED = new ConcurrentHashMap<>();

  private final Key key;
  private final long module;
  private final ConcurrentHashMap<String, Kernel> kernels = new ConcurrentHashMap<>();

  private KernelModule(Key key, long module) {
    this.key = key;
    this.module = module;
  }

  /** Whether there is a GPU, and NVRTC to compile for it; if not, why, and what to do. */
  public static Availability availability() {
    Availability driver = Cuda.availability();
    return driver.isAvailable() ? Nvrtc.availability() : driver;
  }

  /**
   * Compiles and loads, or gives what was loaded before.
   *
   * @throws IllegalStateException if {@link #availability} says no
   * @throws KernelException if the text does not compile, with NVRTC's log, or the driver refuses
   *     the result
   */
  public static KernelModule of(CudaDevice device, KernelSource source) {
    return LOADED.computeIfAbsent(new Key(device, source), KernelModule::load);
  }

  private static KernelModule load(Key key) {
    availability().ensure("CUDA");
    byte[] image = CubinCache.shared().get(key.source, key.device.architecture());
    try {
      return new KernelModule(key, Modules.load(key.device.index(), key.source.toString(), image));
    } catch (CudaException e) {
      throw new KernelException(
          "the driver refuses "
              + key.source
              + " for "
              + key.device
              + ": "
              + e.getMessage()
              + "; update the NVIDIA driver (580 or later for CUDA 13)");
    }
  }

  /**
   * Compiles without loading, for any GPU and without one: for checks of a build.
   *
   * @param architecture as {@code sm_90a}
   * @return the machine code
   * @throws IllegalStateException if NVRTC is not there
   * @throws KernelException if the text does not compile, with NVRTC's log
   */
  public static byte[] compile(KernelSource source, String architecture) {
    Nvrtc.availability().ensure("NVRTC");
    return new Nvrtc().compile(source, architecture);
  }

  /**
   * A kernel, declared {@code extern "C" __global__}.
   *
   * @throws CudaException if there is none of this name
   */
  public Kernel kernel(String name) {
    return kernels.computeIfAbsent(
        name,
        wanted ->
            new Kernel(key.device, wanted, Modules.function(key.device.index(), module, wanted)));
  }
}

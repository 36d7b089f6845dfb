package io.github.lightning4j.jmh.device;

import io.github.lightning4j.attention.internal.CudaLightning;
import io.github.lightning4j.core.cuda.internal.CubinCache;
import io.github.lightning4j.core.cuda.internal.Modules;
import io.github.lightning4j.core.cuda.kernel.KernelSource;

/** What the first use of a kernel takes, on the clock of the CPU. */
enum FirstUseRow implements DeviceRow {
  /** Compiled, kept on disk, and loaded. */
  COMPILED("not on disk", 0.5e6),
  /** Read from disk, checked, and loaded. */
  FROM_DISK("on disk", 5e3);

  private final String where;
  private final double goalUs;

  FirstUseRow(String where, double goalUs) {
    this.where = where;
    this.goalUs = goalUs;
  }

  @Override
  public String title() {
    return "first use of a kernel, " + where;
  }

  @Override
  public Goal goal() {
    return Goal.microseconds(goalUs);
  }

  @Override
  public Measured measure(Scene scene) {
    KernelSource kernel = CudaLightning.sources().get(0);
    double[] microseconds = new double[scene.size(5, 1)];
    for (int i = 0; i < microseconds.length; i++) {
      // A constant that nothing reads makes it a kernel that nobody has used before.
      KernelSource unknown = kernel.define("UNUSED", System.nanoTime());
      if (this == FROM_DISK) {
        load(scene, unknown);
      }
      long start = System.nanoTime();
      load(scene, unknown);
      microseconds[i] = (System.nanoTime() - start) / 1000.0;
    }
    return new Measured(Timing.of(microseconds), 0, 0);
  }

  private static void load(Scene scene, KernelSource source) {
    byte[] image = CubinCache.shared().get(source, scene.device().architecture());
    Modules.load(scene.device().index(), source.toString(), image);
  }
}

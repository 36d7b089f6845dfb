package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.cuda.kernel.WarpGroups;

/**
 * Another row with the kernels for warp groups, which only a system property chooses as yet: beside
 * that row it shows whether they should be the default.
 *
 * @param row without them
 */
record WarpGroupRow(DeviceRow row) implements DeviceRow {
  @Override
  public String title() {
    return row.title() + ", warp groups";
  }

  @Override
  public Goal goal() {
    return row.goal();
  }

  @Override
  public Measured measure(Scene scene) {
    if (!WarpGroups.exist(scene.device())) {
      throw new Unmeasurable("warp groups multiply on compute capability 9.0 alone");
    }
    System.setProperty(WarpGroups.PROPERTY, "true");
    try {
      return row.measure(scene);
    } finally {
      System.clearProperty(WarpGroups.PROPERTY);
    }
  }
}

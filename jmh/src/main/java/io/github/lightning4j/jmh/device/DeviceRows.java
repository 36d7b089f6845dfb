package io.github.lightning4j.jmh.device;

import java.util.List;

/** All rows, in the order of the table. A new row is a class and a line here. */
final class DeviceRows {
  private static final Goal DECODE = Goal.ofBandwidth(0.85);

  private DeviceRows() {}

  static List<DeviceRow> all() {
    return List.of(
        new CopyRow(),
        new DenseProductRow(),
        new LightningDecodeRow(1, false, Goal.NONE),
        new LightningDecodeRow(1, true, Goal.microseconds(6)),
        new LightningDecodeRow(16, false, DECODE),
        new LightningDecodeRow(64, false, DECODE),
        new LightningDecodeRow(256, false, DECODE),
        new LightningPromptRow(),
        new LightningPackedRow(),
        new LightningTrainingRow(false, Goal.microseconds(600)),
        new LightningTrainingRow(true, Goal.microseconds(800)),
        RowOperatorRow.RMS_NORM,
        RowOperatorRow.SCALED_SUM,
        RowOperatorRow.SILU_GATE,
        new ArgmaxRow(),
        FirstUseRow.COMPILED,
        FirstUseRow.FROM_DISK);
  }
}

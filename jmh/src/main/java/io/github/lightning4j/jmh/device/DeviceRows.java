package io.github.lightning4j.jmh.device;

import java.util.List;

/** All rows, in the order of the table. A new row is a class and a line here. */
final class DeviceRows {
  private static final Goal DECODE = Goal.ofBandwidth(0.85);

  private static final int SHORT = 1 << 10;
  private static final int MIDDLE = 1 << 15;
  private static final int LONG = 1 << 18;
  private static final Goal THREE_TIMES =
      Goal.ofSpeed(3, CacheDecodeRow.title(Pages.BF16, LONG), "bf16 pages");

  private static final Goal FIFTH =
      Goal.ofSpeed(0.2, CacheDecodeRow.title(Pages.BF16, LONG), "bf16 pages");

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
        new SamplerRow(1, Goal.microseconds(80)),
        new SamplerRow(32, Goal.microseconds(100)),
        new ProductDecodeRow(1, Weights.BF16),
        new ProductDecodeRow(1, Weights.INT8),
        new ProductDecodeRow(1, Weights.INT4),
        new ProductDecodeRow(16, Weights.BF16),
        new ProductDecodeRow(16, Weights.INT8),
        new ProductDecodeRow(16, Weights.INT4),
        ProductPromptRow.LIBRARY,
        ProductPromptRow.OWN,
        new WarpGroupRow(ProductPromptRow.OWN),
        ProductPromptRow.INT8,
        ProductPromptRow.INT4,
        new FusedHeadRow(false, 0.8),
        new FusedHeadRow(true, 0.7),
        new RoutingRow(),
        new ExpertsRow(1, Weights.BF16),
        new ExpertsRow(1, Weights.INT8),
        new ExpertsRow(1, Weights.INT4),
        new ExpertsRow(8, Weights.BF16),
        new ExpertsRow(8, Weights.INT8),
        new ExpertsRow(8, Weights.INT4),
        new ExpertsRow(32, Weights.BF16),
        new ExpertsRow(32, Weights.INT8),
        new ExpertsRow(32, Weights.INT4),
        new ExpertsRow(4096, Weights.BF16),
        new WarpGroupRow(new ExpertsRow(4096, Weights.BF16)),
        new ExpertsRow(4096, Weights.INT8),
        new WarpGroupRow(new ExpertsRow(4096, Weights.INT8)),
        new ExpertsRow(4096, Weights.INT4),
        new WarpGroupRow(new ExpertsRow(4096, Weights.INT4)),
        new ExpertsBackwardRow(),
        new CacheDecodeRow(Pages.BF16, SHORT, 150, Goal.NONE),
        new CacheDecodeRow(Pages.BF16, MIDDLE, 200, Goal.NONE),
        new CacheDecodeRow(Pages.BF16, LONG, 300, DECODE),
        new CacheDecodeRow(Pages.KV2, SHORT, 150, Goal.NONE),
        new CacheDecodeRow(Pages.KV2, MIDDLE, 200, Goal.NONE),
        new CacheDecodeRow(Pages.KV2, LONG, 300, THREE_TIMES),
        new CacheDecodeRow(Pages.ROTATEKV2, LONG, 300, FIFTH),
        new CachePromptRow(),
        new CacheSecondPromptRow(),
        CacheStepRow.APPEND,
        CacheStepRow.AGE,
        ModelRow.PROMPT,
        ModelRow.DECODE,
        FirstUseRow.COMPILED,
        FirstUseRow.FROM_DISK);
  }
}

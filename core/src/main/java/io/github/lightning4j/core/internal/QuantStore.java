package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;

/**
 * The memory of a quantized matrix as {@code quant_layout.h} describes it: a {@code QuantMatrix}
 * record, the codes, the scales, the zero points, each aligned to 64 bytes.
 */
public final class QuantStore implements AutoCloseable {
  /** Rows are padded to a multiple of this. */
  private static final long STEP = 32;

  /** Zeros behind scales and zero points, so that vectors may be loaded beyond a row. */
  private static final long SLACK = Memory.ALIGNMENT;

  private final QuantFormat format;
  private final long rows;
  private final long columns;
  private final Memory memory;
  private final Elements codes;
  private final Elements scales;
  private final Elements zeros;

  /** Memory for a matrix, all zero. */
  public QuantStore(QuantFormat format, long rows, long columns) {
    this.format = format;
    this.rows = rows;
    this.columns = columns;
    long codesAt = Memory.ALIGNMENT;
    long scalesAt = aligned(codesAt + rows * rowBytes());
    long zerosAt = aligned(scalesAt + rows * blocks() * Short.BYTES + SLACK);
    long zeroRows = format.bits() == 4 ? rows : 0;
    memory = Memory.allocate(aligned(zerosAt + zeroRows * blocks() + SLACK));
    codes = Tensor.view(memory, codesAt, DType.U8, rows, rowBytes()).accessor();
    scales = Tensor.view(memory, scalesAt, DType.BF16, rows, blocks()).accessor();
    zeros = Tensor.view(memory, zerosAt, DType.U8, zeroRows, blocks()).accessor();
    long first = memory.address();
    describe(first + codesAt, first + scalesAt, first + zerosAt);
  }

  private void describe(long codesAddress, long scalesAddress, long zerosAddress) {
    Elements record = Tensor.view(memory, 0, DType.I64, 8).accessor();
    long[] fields = {
      codesAddress,
      scalesAddress,
      zerosAddress,
      format.bits(),
      columns,
      paddedColumns(),
      format.block(),
      blocks()
    };
    for (int i = 0; i < fields.length; i++) {
      record.setLong(i, fields[i]);
    }
  }

  /** How the weights are coded. */
  public QuantFormat format() {
    return format;
  }

  /** N. */
  public long rows() {
    return rows;
  }

  /** K. */
  public long columns() {
    return columns;
  }

  /** K rounded up. */
  public long paddedColumns() {
    return (columns + STEP - 1) / STEP * STEP;
  }

  /** Scales of a row. */
  public long blocks() {
    return (paddedColumns() + format.block() - 1) / format.block();
  }

  private long rowBytes() {
    return paddedColumns() * format.bits() / 8;
  }

  /** All bytes held. */
  public long bytes() {
    return memory.bytes();
  }

  /**
   * The address of the {@code QuantMatrix} record.
   *
   * @throws IllegalStateException if closed
   */
  public long descriptor() {
    return memory.address();
  }

  /** Stores scale and zero point of a block. */
  void setBlock(long row, long block, float scale, int zero) {
    scales.set(row * blocks() + block, scale);
    if (format.bits() == 4) {
      zeros.setLong(row * blocks() + block, zero);
    }
  }

  /** Stores a code; those of a row come in order, each once. */
  void setCode(long row, long column, int code) {
    long at = row * rowBytes();
    if (format.bits() == 8) {
      codes.setLong(at + column, code & 0xff);
    } else {
      long pair = at + nibble(column);
      codes.setLong(pair, codes.getLong(pair) | (long) code << shift(column));
    }
  }

  /** The weight that a code stands for, exactly. */
  public float weight(long row, long column) {
    long block = row * blocks() + column / format.block();
    long at = row * rowBytes();
    long code =
        format.bits() == 8
            ? (byte) codes.getLong(at + column)
            : (codes.getLong(at + nibble(column)) >> shift(column) & 15) - zeros.getLong(block);
    return (float) scales.get(block) * code;
  }

  /** The byte of a row in which a code of 4 bits lies: byte i of 16 holds i below 16 + i. */
  private static long nibble(long column) {
    return column / 32 * 16 + column % 16;
  }

  private static int shift(long column) {
    return column % 32 < 16 ? 0 : 4;
  }

  private static long aligned(long bytes) {
    return (bytes + Memory.ALIGNMENT - 1) & -Memory.ALIGNMENT;
  }

  @Override
  public void close() {
    memory.close();
  }
}

package io.github.lightning4j.core.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantFormat;
import org.jspecify.annotations.Nullable;

/**
 * The memory of a quantized matrix as {@code quant_layout.h} describes it: a {@code QuantMatrix}
 * record, and the image it points into: the codes, the scales, the zero points, each aligned to 64
 * bytes. Record and image lie together where the matrix was made; the image of one that was read
 * lies in its file.
 */
public final class QuantStore implements AutoCloseable {
  /** Rows are padded to a multiple of this. */
  private static final long STEP = 32;

  /** Zeros behind scales and zero points, so that vectors may be loaded beyond a row. */
  private static final long SLACK = Memory.ALIGNMENT;

  private static final long RECORD = 64;

  private final QuantFormat format;
  private final long rows;
  private final long columns;
  private final Memory memory;
  private final Tensor image;
  private final Elements codes;
  private final Elements scales;
  private final Elements zeros;

  /** Memory for a matrix, all zero. */
  public QuantStore(QuantFormat format, long rows, long columns) {
    this(format, rows, columns, null);
  }

  /**
   * A matrix whose image exists.
   *
   * @param image U8, contiguous, {@link #imageBytes} long; only read; null: new memory
   */
  public QuantStore(QuantFormat format, long rows, long columns, @Nullable Tensor image) {
    this.format = format;
    this.rows = rows;
    this.columns = columns;
    long bytes = imageBytes(format, rows, columns);
    memory = Memory.allocate(image == null ? RECORD + bytes : RECORD);
    this.image = image == null ? Tensor.view(memory, RECORD, DType.U8, bytes) : image;
    long zeroRows = format.bits() == 4 ? rows : 0;
    long scalesAt = scalesAt(format, rows, columns);
    long zerosAt = zerosAt(format, rows, columns);
    codes = part(0, DType.U8, rows, rowBytes());
    scales = part(scalesAt, DType.BF16, rows, blocks());
    zeros = part(zerosAt, DType.U8, zeroRows, blocks());
    long first = this.image.address();
    describe(first, first + scalesAt, first + zerosAt);
  }

  /** The bytes of codes, scales, zero points and padding; a multiple of 64. */
  public static long imageBytes(QuantFormat format, long rows, long columns) {
    long zeros = format.bits() == 4 ? rows * blocks(format, columns) : 0;
    return zerosAt(format, rows, columns) + aligned(zeros + SLACK);
  }

  /** The bytes of a row of codes, a multiple of 16. */
  public static long rowBytes(QuantFormat format, long columns) {
    return padded(columns) * format.bits() / 8;
  }

  /** Scales of a row. */
  public static long blocks(QuantFormat format, long columns) {
    return (padded(columns) + format.block() - 1) / format.block();
  }

  /** Where in an image the scales start. */
  public static long scalesAt(QuantFormat format, long rows, long columns) {
    return aligned(rows * rowBytes(format, columns));
  }

  /** Where in an image the zero points start, if it has them. */
  public static long zerosAt(QuantFormat format, long rows, long columns) {
    long scales = aligned(rows * blocks(format, columns) * Short.BYTES + SLACK);
    return scalesAt(format, rows, columns) + scales;
  }

  private Elements part(long at, DType dtype, long rowCount, long width) {
    long bytes = rowCount * width * dtype.bytes();
    Memory view = Memory.wrap(image.address() + at, bytes, () -> {});
    return Tensor.view(view, 0, dtype, rowCount, width).accessor();
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
    return padded(columns);
  }

  private static long padded(long columns) {
    return (columns + STEP - 1) / STEP * STEP;
  }

  /** Scales of a row. */
  public long blocks() {
    return blocks(format, columns);
  }

  private long rowBytes() {
    return rowBytes(format, columns);
  }

  /** All bytes held, here or in the file. */
  public long bytes() {
    return RECORD + image.size(0);
  }

  /**
   * Codes, scales and zero points, as they would lie in a file.
   *
   * @throws IllegalStateException if closed
   */
  public Tensor image() {
    memory.address();
    return image;
  }

  /**
   * The address of the {@code QuantMatrix} record.
   *
   * @throws IllegalStateException if closed
   */
  public long descriptor() {
    return memory.address();
  }

  /** Refuses scales of rows {@code [from, to)} that are not finite. */
  public void checkScales(long from, long to) {
    for (long i = from * blocks(); i < to * blocks(); i++) {
      double scale = scales.get(i);
      checkArgument(
          Double.isFinite(scale),
          "scale of row %s from column %s on: expected a finite number, got %s",
          i / blocks(),
          i % blocks() * format.block(),
          scale);
    }
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

package io.github.lightning4j.nd4j;

import io.github.lightning4j.core.DType;
import org.nd4j.linalg.api.buffer.DataType;

/** What an element type of one side is called on the other. */
final class ElementTypes {
  private ElementTypes() {}

  static DType of(DataType type) {
    return switch (type) {
      case DOUBLE -> DType.F64;
      case FLOAT -> DType.F32;
      case HALF -> DType.F16;
      case BFLOAT16 -> DType.BF16;
      case LONG -> DType.I64;
      case INT -> DType.I32;
      case SHORT -> DType.I16;
      case BYTE -> DType.I8;
      case UINT64 -> DType.U64;
      case UINT32 -> DType.U32;
      case UINT16 -> DType.U16;
      case UBYTE -> DType.U8;
      case BOOL -> DType.BOOL;
      default ->
          throw new IllegalArgumentException(
              "array: expected dtype DOUBLE, FLOAT, HALF, BFLOAT16, LONG, INT, SHORT, BYTE, UINT64,"
                  + " UINT32, UINT16, UBYTE or BOOL, got "
                  + type);
    };
  }

  static DataType of(DType type) {
    return switch (type) {
      case F64 -> DataType.DOUBLE;
      case F32 -> DataType.FLOAT;
      case F16 -> DataType.FLOAT16;
      case BF16 -> DataType.BFLOAT16;
      case I64 -> DataType.INT64;
      case I32 -> DataType.INT32;
      case I16 -> DataType.INT16;
      case I8 -> DataType.INT8;
      case U64 -> DataType.UINT64;
      case U32 -> DataType.UINT32;
      case U16 -> DataType.UINT16;
      case U8 -> DataType.UINT8;
      case BOOL -> DataType.BOOL;
    };
  }
}

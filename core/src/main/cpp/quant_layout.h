// Weights of 8 and 4 bits and the activations they are multiplied with, as the class QuantStore lays them out.
//
// A row of K weights is padded with zeros to kp, a multiple of 32, and cut into blocks of `block` weights (32, 64 or
// 128; the last may be shorter). Each block has its scale:
//
//   8 bits:  w = scale * c           c in -127..127, one byte each
//   4 bits:  w = scale * (c - zero)  c and zero in 0..15; byte i of 16 holds weight i of 32 below weight 16 + i
//
// Where one scale serves the whole row, it is repeated for each block. Scales and zeros are finite, and 64 bytes
// of zeros follow the last of each, so that vectors may be loaded beyond the end of a row.
#pragma once

#include <cstdint>

namespace l4j {

constexpr int64_t kMaxBlock = 128;

struct QuantMatrix {
  uint8_t* codes;    // [rows][kp * bits / 8]
  uint16_t* scales;  // bf16 [rows][blocks]
  uint8_t* zeros;    // [rows][blocks], only with 4 bits
  int64_t bits, columns, kp, block, blocks;

  int64_t row_bytes() const { return kp * bits / 8; }
};

// Rows of activations as 16-bit integers with a scale for each block: x = scale * q. The error is at most half a
// step of (largest magnitude of the block) / 32767. Blocks are padded to `ld`, a multiple of 16, with zero scales.
struct QuantRows {
  int16_t* q;      // [rows][kp]
  float* scales;   // [rows][ld]
  float* offsets;  // [rows][ld], scale * sum of q
  int64_t kp, ld;

  // The bytes that `rows` rows against w take.
  static int64_t bytes(int64_t rows, const QuantMatrix& w) {
    return rows * (w.kp * 2 + (w.blocks + 15) / 16 * 16 * 8);
  }

  // As they lie in memory for `rows` rows against w.
  static QuantRows at(void* memory, int64_t rows, const QuantMatrix& w) {
    int64_t ld = (w.blocks + 15) / 16 * 16;
    auto q = static_cast<int16_t*>(memory);
    auto scales = reinterpret_cast<float*>(q + rows * w.kp);
    return {q, scales, scales + rows * ld, w.kp, ld};
  }
};

}  // namespace l4j

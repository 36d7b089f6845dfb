// Weights of 8 and 4 bits and the activations they are multiplied with, as the class QuantStore lays them out.
//
// A row of K weights is padded with zeros to kp, a multiple of 32, and cut into blocks of `block` weights (32, 64 or
// 128; the last may be shorter). Each block has its scale:
//
//   8 bits:  w = scale * c           c in -127..127, one byte each
//   4 bits:  w = scale * (c - zero)  c and zero in 0..15; byte i of 16 holds weight i of 32 below weight 16 + i
//
// Where one scale serves the whole row, it is repeated for each block. Scales and zeros are finite, and 64 bytes of
// zeros follow the last of each, so that vectors may be loaded beyond the end of a row; as may 64 bytes of codes,
// which scales follow.
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

// Rows of activations as integers with a scale for each block: x = scale * q, in 16 bits (q in -32767..32767) against
// weights of 8 bits and in 8 bits (q in -127..127) against weights of 4. The error is at most half a step of (largest
// magnitude of the block) / 32767, or / 127. Blocks are padded to `ld`, a multiple of 16, with zero scales.
//
// 16 bits stand in the order of the columns. 8 bits are padded with zeros to a multiple of kMaxBlock and stand,
// within each step of 8 * (floats in a vector) columns, as the nibbles of that many weights meet them: those of all
// low ones, those of all high ones.
struct QuantRows {
  uint8_t* q;      // [rows][row_bytes]
  float* scales;   // [rows][ld]
  float* offsets;  // [rows][ld], scale * sum of q
  int64_t row_bytes, ld;

  static int64_t row_bytes_for(const QuantMatrix& w) {
    return w.bits == 8 ? 2 * w.kp : (w.kp + kMaxBlock - 1) / kMaxBlock * kMaxBlock;
  }

  // The bytes that `rows` rows against w take.
  static int64_t bytes(int64_t rows, const QuantMatrix& w) {
    return rows * (row_bytes_for(w) + (w.blocks + 15) / 16 * 16 * 8);
  }

  // As they lie in memory for `rows` rows against w.
  static QuantRows at(void* memory, int64_t rows, const QuantMatrix& w) {
    int64_t ld = (w.blocks + 15) / 16 * 16, row_bytes = row_bytes_for(w);
    auto q = static_cast<uint8_t*>(memory);
    auto scales = reinterpret_cast<float*>(q + rows * row_bytes);
    return {q, scales, scales + rows * ld, row_bytes, ld};
  }
};

// The same integers of many rows ("tokens"), for products that hold one token in each lane: panels of `lanes` tokens,
// each with its integers in units of 32 bits (two of 16 bits or four of 8, neighbours in a row), [kp / 2 or kp /
// 4][lanes], anything up to whole 64 columns, then scales and offsets, [blocks][lanes] each. Lanes without a token are
// zero. For AMX (quant_amx_tiles.h) 16 bits are in parts: of four neighbours the high bytes in one unit, the low ones
// in the next.
struct QuantPanels {
  uint8_t* memory;
  int64_t units, padded, blocks, lanes;

  static QuantPanels at(void* memory, const QuantMatrix& w, int64_t lanes) {
    return {static_cast<uint8_t*>(memory), w.kp * w.bits / 16, (w.kp + 63) / 64 * 4 * w.bits, w.blocks, lanes};
  }
  int64_t panel_bytes() const { return (padded + 2 * blocks) * lanes * 4; }
  int32_t* q(int64_t panel) const { return reinterpret_cast<int32_t*>(memory + panel * panel_bytes()); }
  float* scales(int64_t panel) const { return reinterpret_cast<float*>(q(panel) + padded * lanes); }
  float* offsets(int64_t panel) const { return scales(panel) + blocks * lanes; }
};

}  // namespace l4j

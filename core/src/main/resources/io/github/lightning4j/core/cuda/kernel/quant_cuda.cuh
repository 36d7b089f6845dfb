// Weights of 8 and 4 bits, as the class QuantStore lays them out, on their way to tensor cores.
//
//   8 bits:  w = scale * c           c in -127..127, one byte each
//   4 bits:  w = scale * (c - zero)  c and zero in 0..15; byte i of 16 holds weight i of 32 below weight 16 + i
//
// A row of K weights is padded to a multiple of 32 codes and cut into blocks of 32, 64 or 128 that share a scale in bf16
// (and a zero point). c and c - zero are integers below 128, which bf16 holds exactly: the products with activations in
// bf16 are then exact, and a sum over a block is multiplied with its scale in fp32.
//
// Codes are put into the digits of 128 + c, the bf16 whose last digit counts ones, and the 128 is taken off again: two
// or three instructions for two weights. The two are neighbours but one, (0, 2) and (1, 3) of four.
#pragma once
#include "core_cuda.cuh"

/// 128 twice.
constexpr uint32_t kOnes = 0x43004300u;

/// a - b for two bf16 each.
__device__ __forceinline__ uint32_t difference(uint32_t a, uint32_t b) { return fma_bf16x2(b, 0xbf80bf80u, a); }

/// Four codes of 8 bits.
__device__ __forceinline__ void widen_int8(uint32_t codes, uint32_t (&pairs)[2]) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    uint32_t c = codes >> 8 * i;
    pairs[i] = difference((c & 0x007f007fu) | kOnes, (c & 0x00800080u) | kOnes);
  }
}

/// What zero points are taken off as: 128 + zero, twice.
__device__ __forceinline__ uint32_t offset_int4(uint32_t zero) { return zero * 0x00010001u + kOnes; }

/// Four codes of 4 bits, the low halves of the bytes.
__device__ __forceinline__ void widen_int4(uint32_t codes, uint32_t offset, uint32_t (&pairs)[2]) {
#pragma unroll
  for (int i = 0; i < 2; i++) pairs[i] = difference(((codes >> 8 * i) & 0x000f000fu) | kOnes, offset);
}

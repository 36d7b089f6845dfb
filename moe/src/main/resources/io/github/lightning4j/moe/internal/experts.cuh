// What both kernels of the experts share: weights as they lie on a GPU, and who works where.
//
// A matrix [N, K] of each of E experts, one after another. Codes are the bytes of QuantizedMatrix, or bf16: 4 lanes of
// a warp take 64 bytes of a row, 16 each, and these are kChunks runs of 8 weights that stand together in K. A sum over
// K may go in any order, so a fragment of mma takes its 16 terms from where the lanes' 16 bytes happen to lie, weights
// and activations alike: nothing is shuffled, and the bytes of a row are read as they are.
// Scales (bf16) and zero points are transposed, [blocks][pitch], N rounded up to 16: neighbours are rows.
// Constant: BITS, 16, 8 or 4.
#pragma once
#include "core_cuda.cuh"

/// Runs of 8 weights in 16 bytes.
constexpr int kChunks = 16 / BITS;
/// Weights of a row in 64 bytes, which a warp takes at once.
constexpr int kStep = 32 * kChunks;
constexpr bool kQuantized = BITS < 16;

struct Weights {
  const uint8_t* codes;
  const uint16_t* scales;
  const uint8_t* zeros;
};

/// The sizes of a matrix: blocks of 2^shift weights have a scale.
struct Shape {
  int n, k, shift;

  __device__ __forceinline__ int padded() const { return kQuantized ? (k + 31) / 32 * 32 : k; }
  __device__ __forceinline__ int row_bytes() const { return padded() / 8 * BITS; }
  __device__ __forceinline__ int blocks() const { return (padded() + (1 << shift) - 1) >> shift; }
  __device__ __forceinline__ int pitch() const { return (n + 15) / 16 * 16; }

  __device__ __forceinline__ Weights of(Weights all, int expert) const {
    int64_t scales = int64_t(expert) * blocks() * pitch();
    return {all.codes + int64_t(expert) * n * row_bytes(), all.scales + scales, all.zeros + scales};
  }
};

/// 16 bf16 bits twice.
__device__ __forceinline__ uint32_t twice(uint32_t x) { return x * 0x10001u; }

/// The four codes of a word as pairs of bf16, with 4 bits those of the low or the high halves of its bytes: the products
/// of small integers, which are exact, with the scale, rounded.
__device__ __forceinline__ void unpack(uint32_t word, bool high, uint32_t scale, uint32_t zero, uint32_t (&w)[2]) {
  // 0x4300 is 128, whose last bit counts 1: the codes are its last bits.
  constexpr uint32_t kOne = 0x3f803f80u, kMinusZero = 0x80008000u;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    uint32_t pair = __byte_perm(word, 0, half == 0 ? 0x4140 : 0x4342);
    uint32_t code, offset;
    if (BITS == 8) {
      code = (pair & 0x007f007fu) | 0x43004300u;
      // -128, or -256 where the sign is set.
      offset = (pair & 0x00800080u) | 0xc300c300u;
    } else {
      code = ((high ? pair >> 4 : pair) & 0x000f000fu) | 0x43004300u;
      offset = zero | 0xc300c300u;
    }
    w[half] = fma_bf16x2(fma_bf16x2(code, kOne, offset), scale, kMinusZero);
  }
}

/// The 8 weights of run `run` of a lane's codes, as pairs of bf16. `low` and `high` are the words of its 16 bytes that
/// word_of names.
__device__ __forceinline__ void unpack(uint32_t low, uint32_t high, int run, uint32_t scale, uint32_t zero,
                                       uint32_t (&w)[4]) {
  uint32_t words[2] = {low, high};
#pragma unroll
  for (int i = 0; i < 2; i++) {
    uint32_t pairs[2];
    unpack(words[i], run >= 2, scale, zero, pairs);
    w[2 * i] = pairs[0], w[2 * i + 1] = pairs[1];
  }
}

/// The first of the two words of a lane's 16 bytes that hold a run.
__device__ __forceinline__ constexpr int word_of(int run) { return run % 2 * 2; }

/// The work `index` of all: each expert with more than `least` and at most `most` tokens has `columns` pieces for each
/// started `tile` of its tokens. Gives the expert and the piece within its own, or -1 where there is less work. The
/// same for all threads.
__device__ __forceinline__ int find_work(const int* offsets, int experts, int least, int most, int tile, int columns,
                                         int& index) {
  int lane = threadIdx.x % kWarp;
  for (int from = 0; from < experts; from += kWarp) {
    int e = from + lane;
    int count = e < experts ? offsets[e + 1] - offsets[e] : 0;
    int own = count > least && count <= most ? (count + tile - 1) / tile * columns : 0, sum = own;
#pragma unroll
    for (int by = 1; by < kWarp; by *= 2) {
      int other = __shfl_up_sync(kAllLanes, sum, by);
      if (lane >= by) sum += other;
    }
    unsigned later = __ballot_sync(kAllLanes, index < sum);
    if (later != 0) {
      int found = __ffs(later) - 1;
      index -= __shfl_sync(kAllLanes, sum - own, found);
      return from + found;
    }
    index -= __shfl_sync(kAllLanes, sum, kWarp - 1);
  }
  return -1;
}

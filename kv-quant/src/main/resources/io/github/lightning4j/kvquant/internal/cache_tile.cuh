// A tile of tokens, as it lies in a page, and the softmax of eight query heads that takes it in; one warp does both.
//
// Of quantized tokens x' = s (c - z) codes go to tensor cores as they are; s and z enter with scores and weights:
//   q . k' = s (q . c - z sum q),   sum p v' = sum (p s) c - sum (p s) z
// which is exact but for rounding, since q and p s are summed as they were rounded.
// Constants: those of cache_codes.cuh; HALF, pairs of channels that turn where keys lack their mean, else 0.
#pragma once
#include "cache_codes.cuh"
#if HALF > 0
#include "cache_mean.cuh"
#else
struct MeanTerm {};
#endif

constexpr int kHeads = 8;
// Tokens that a warp has under way: some 8 KB of bf16, a page of 2 bits.
constexpr int kTile = TURN > 0 ? 16 : BITS == 2 ? 64 : BITS == 4 ? 32 : 16;
constexpr int kBlocks = kTile / 16;

__device__ __forceinline__ float minus_infinity() { return __uint_as_float(0xff800000u); }

/// What a warp reads of a tile, as it lies in memory.
struct Tile {
  uint32_t keys[2 * kBlocks][kKeyWords];
  uint32_t values[kBlocks][4][kValueWords];
#if BITS < 16
  // Of tokens 2 t and 2 t + 1 of each eight: scales and zero points, of keys and of values.
  uint32_t scales[2][2 * kBlocks];
  uint32_t zeros[2][2 * kBlocks];
#endif
};

/// The softmax of a warp so far: of head g the maximum and this lane's parts of sums, and sums of values.
struct Softmax {
  float max, sum, zeros;
  float o[kValueChannels / 2][4];
};

template <int bytes>
__device__ __forceinline__ uint32_t load_two(const uint8_t* from) {
  if constexpr (bytes == 2) return *reinterpret_cast<const uint32_t*>(from);
  return *reinterpret_cast<const uint16_t*>(from);
}

/// Reads the tile that starts in `slot` of a page, whose keys are first_key ..., key_pitch bytes apart; keys are those
/// of the page, for their scales. `seen` has two bits for each eight tokens.
__device__ __forceinline__ void read(const uint8_t* first_key, int key_pitch, const uint8_t* keys,
                                     const uint8_t* values, int slot, uint32_t seen, Tile& tile) {
  int g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int n = 0; n < 2 * kBlocks; n++) {
    load_bytes<4, kKeyBytes>(first_key + (8 * n + g) * key_pitch, t, tile.keys[n]);
#if BITS < 16
    const uint8_t* units[2] = {keys, values};
#pragma unroll
    for (int side = TURN > 0; side < 2; side++) {
      const uint8_t* scales = units[side] + kPageTokens * kTokenBytes;
      int token = slot + 8 * n + 2 * t;
      tile.scales[side][n] = load_two<kScaleBytes>(scales + token * kScaleBytes);
      if (ZERO > 0) {
        tile.zeros[side][n] = load_two<kZeroBytes>(scales + kPageTokens * kScaleBytes + token * kZeroBytes);
      }
    }
#endif
  }
#pragma unroll
  for (int block = 0; block < kBlocks; block++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int token = slot + 16 * block + i / 2 * 8 + 2 * t + i % 2;
      // What is not seen may be anything, NaN too; codes are numbers always.
      bool read = BITS < 16 || seen >> (4 * block + i) & 1;
      if (read) {
        load_bytes<8, kValueBytes>(values + int64_t(token) * kTokenBytes, g, tile.values[block][i]);
      } else {
#pragma unroll
        for (int j = 0; j < kValueWords; j++) tile.values[block][i][j] = 0;
      }
    }
  }
}

/// Takes a tile into the softmax. Lane 4 g + t has of head g the scores of tokens 2 t and 2 t + 1 of each eight.
__device__ __forceinline__ void attend(const Tile& tile, const uint32_t (&query)[kKeyPairs], float query_sum,
                                       float scale, uint32_t seen, const MeanTerm& mean, const float* turns,
                                       const uint32_t* angles, Softmax& softmax) {
  int t = threadIdx.x % 4;
#if HALF > 0
  uint32_t turned[kSteps][2];
  turn_back(mean, turns, turned);
#endif
  float s[2 * kBlocks][4];
  float most = softmax.max;
#pragma unroll
  for (int n = 0; n < 2 * kBlocks; n++) {
    uint32_t pairs[kKeyPairs];
    key_pairs(tile.keys[n], pairs);
#pragma unroll
    for (int i = 0; i < 4; i++) s[n][i] = 0;
#pragma unroll
    for (int i = 0; i < kKeyPairs; i += 2) {
      mma_bf16(s[n], {query[i], 0u, query[i + 1], 0u}, {pairs[i], pairs[i + 1]});
    }
#if HALF > 0
    float gains[4] = {mean.constant, mean.constant};
    add_mean(turned, angles, n, gains);
#else
    constexpr float gains[4] = {};
#endif
#pragma unroll
    for (int i = 0; i < 2; i++) {
#if BITS < 16 && TURN == 0
      float zero = ZERO > 0 ? zero_of(tile.zeros[0][n], i) : 0.0f;
      s[n][i] = scale_of(tile.scales[0][n], i) * (s[n][i] - zero * query_sum);
#endif
      s[n][i] = seen >> (2 * n + i) & 1 ? s[n][i] * scale + gains[i] : minus_infinity();
      most = fmaxf(most, s[n][i]);
    }
  }
  most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
  most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
  if (__any_sync(kAllLanes, most != softmax.max)) {
    float factor = most == softmax.max ? 1.0f : exp2f(softmax.max - most);
    softmax.max = most;
    softmax.sum *= factor;
    softmax.zeros *= factor;
    float even = __shfl_sync(kAllLanes, factor, 8 * t), odd = __shfl_sync(kAllLanes, factor, 8 * t + 4);
#pragma unroll
    for (int m = 0; m < kValueChannels / 2; m++) {
#pragma unroll
      for (int i = 0; i < 4; i++) softmax.o[m][i] *= i % 2 ? odd : even;
    }
  }
#pragma unroll
  for (int block = 0; block < kBlocks; block++) {
    uint32_t weights[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int n = 2 * block + half;
      float p[2];
#pragma unroll
      for (int i = 0; i < 2; i++) {
        bool visible = seen >> (2 * n + i) & 1;
        p[i] = visible ? exp2f(s[n][i] - most) : 0.0f;
        softmax.sum += p[i];
#if BITS < 16
        p[i] = visible ? p[i] * scale_of(tile.scales[1][n], i) : 0.0f;
        if (ZERO > 0) softmax.zeros += visible ? widen(narrow<bf16>(p[i])) * zero_of(tile.zeros[1][n], i) : 0.0f;
#endif
      }
      weights[half] = pack_bf16(p[0], p[1]);
    }
    uint32_t low[kValueChannels], high[kValueChannels];
    value_pairs(tile.values[block][0], tile.values[block][1], low);
    value_pairs(tile.values[block][2], tile.values[block][3], high);
#pragma unroll
    for (int m = 0; m < kValueChannels / 2; m++) {
      mma_bf16(softmax.o[m], {low[2 * m], low[2 * m + 1], high[2 * m], high[2 * m + 1]}, {weights[0], weights[1]});
    }
  }
}

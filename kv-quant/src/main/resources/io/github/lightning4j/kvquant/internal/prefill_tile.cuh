// 128 rows of queries and the softmax that takes in 64 tokens, which lie in shared memory as bf16. A warp has 32 rows,
// which halves what is read of shared memory for a product.
// Constants: those of cache_codes.cuh.
#pragma once
#include "cache_codes.cuh"

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRows = 128;
constexpr int kWarpRows = kRows / kWarps;
constexpr int kTiles = kWarpRows / 16;
// Keys that a warp has scores of at once.
constexpr int kStep = 32;
// Rows of shared memory are 16 bytes longer than they hold, which puts neighbours into other banks.
constexpr int kPitch = D + 8;

__device__ __forceinline__ float minus_infinity() { return __uint_as_float(0xff800000u); }
__device__ __forceinline__ float not_a_number() { return __uint_as_float(0x7fc00000u); }

/// A page of keys and values of one kv head.
struct Page {
  bf16 k[kPageTokens][kPitch];
  bf16 v[kPageTokens][kPitch];
};

/// Where pages come from: quantized tokens, tokens as they came, those of them that are kept for good.
enum Kind { kPacked, kExact, kSinks };

/// What rows see of a page. Its slot i is token position + i, or sinks[i]; `gone` are the slots that nobody sees.
struct Seen {
  Kind kind;
  int position;
  uint64_t gone;
  const int* sinks;

  /// Whether a row that stands at `last` and sees as quantized what is before `border` sees a slot.
  __device__ __forceinline__ bool operator()(int slot, int border, int last) const {
    if (kind == kSinks) return sinks[slot] < border;
    int at = position + slot;
    if (kind == kExact) return at >= border && at <= last;
    return at < border && !(gone >> slot & 1);
  }

  /// Whether rows between these two see all of `count` slots, or else whether they may see some.
  __device__ __forceinline__ bool all(int slot, int count, const int (&border)[2], const int (&last)[2]) const {
    int at = position + slot;
    if (kind == kExact) return at >= border[1] && at + count - 1 <= last[0];
    return kind == kPacked && at + count <= border[0] && gone == 0;
  }
  __device__ __forceinline__ bool some(int slot, int count, const int (&border)[2], const int (&last)[2]) const {
    int at = position + slot;
    if (kind == kExact) return at + count > border[0] && at <= last[1];
    return kind == kSinks ? sinks[slot] < border[1] : at < border[1];
  }
};

/// A warp's 32 rows so far; lane l has of each tile of 16 the rows l / 4 and l / 4 + 8.
struct Softmax {
  float max[kTiles][2], sum[kTiles][2];
  float o[kTiles][D / 8][4];
};

/// Where a lane's rows stand, and up to where they see tokens as quantized.
struct Rows {
  int last[kTiles][2], border[kTiles][2];
};

/// Takes 32 slots from `key` on into the softmax; all: every row sees them.
__device__ __forceinline__ void attend(const bf16 (&q)[kRows][kPitch], const Page& page, int key, float scale,
                                       const Seen& seen, bool all, const Rows& rows, Softmax& softmax) {
  int row = threadIdx.x / kWarp * kWarpRows, lane = threadIdx.x % kWarp;
  float s[kTiles][kStep / 8][4] = {};
#pragma unroll
  for (int d = 0; d < D; d += 16) {
    uint32_t a[kTiles][4];
#pragma unroll
    for (int m = 0; m < kTiles; m++) load_matrices(a[m], &q[row + 16 * m + lane % 16][d + lane / 16 * 8]);
#pragma unroll
    for (int n = 0; n < kStep / 8; n += 2) {
      uint32_t b[4];
      load_matrices(b, &page.k[key + n * 8 + lane % 8 + lane / 16 * 8][d + lane / 8 % 2 * 8]);
#pragma unroll
      for (int m = 0; m < kTiles; m++) {
        mma_bf16(s[m][n], a[m], {b[0], b[1]});
        mma_bf16(s[m][n + 1], a[m], {b[2], b[3]});
      }
    }
  }
  float factors[kTiles][2];
  bool changed = false;
#pragma unroll
  for (int m = 0; m < kTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float most = softmax.max[m][half];
#pragma unroll
      for (int n = 0; n < kStep / 8; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float& score = s[m][n][2 * half + i];
          score *= scale;
          if (!all && !seen(key + n * 8 + lane % 4 * 2 + i, rows.border[m][half], rows.last[m][half])) {
            score = minus_infinity();
          }
          most = fmaxf(most, score);
        }
      }
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
      changed = changed || most != softmax.max[m][half];
      factors[m][half] = most == softmax.max[m][half] ? 1.0f : exp2f(softmax.max[m][half] - most);
      softmax.max[m][half] = most;
      softmax.sum[m][half] *= factors[m][half];
      // A row that has seen nothing yet has weights of zero.
      float base = most == minus_infinity() ? 0.0f : most;
#pragma unroll
      for (int n = 0; n < kStep / 8; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float& score = s[m][n][2 * half + i];
          score = exp2f(score - base);
          softmax.sum[m][half] += score;
        }
      }
    }
  }
  // The greatest score is most often one of long ago.
  if (__any_sync(kAllLanes, changed)) {
#pragma unroll
    for (int m = 0; m < kTiles; m++) {
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) softmax.o[m][n][i] *= factors[m][i / 2];
      }
    }
  }
#pragma unroll
  for (int block = 0; block < kStep / 16; block++) {
    uint32_t p[kTiles][4];
#pragma unroll
    for (int m = 0; m < kTiles; m++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const float* pair = &s[m][2 * block + i / 2][i % 2 * 2];
        p[m][i] = pack_bf16(pair[0], pair[1]);
      }
    }
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      uint32_t b[4];
      load_matrices_transposed(b, &page.v[key + block * 16 + lane % 16][n * 8 + lane / 16 * 8]);
#pragma unroll
      for (int m = 0; m < kTiles; m++) {
        mma_bf16(softmax.o[m][n], p[m], {b[0], b[1]});
        mma_bf16(softmax.o[m][n + 1], p[m], {b[2], b[3]});
      }
    }
  }
}

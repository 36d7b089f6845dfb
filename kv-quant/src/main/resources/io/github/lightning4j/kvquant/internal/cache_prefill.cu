// Causal attention of pieces of prompts over pages of bf16 that hold them and what came before, on tensor cores.
//
//   out[t, h] = sum over s <= position(t) of p[s] v[s],   p = softmax over s of scale q[t, h] . k[s]
//
// A block of four warps has kRows rows of one kv head: the queries of neighbouring tokens, all query heads of the kv
// head, token by token, so that keys and values are fetched once for all of them. It goes through the pages in order,
// one ahead by copies in the background, with a softmax by running maximum. A warp has 32 rows, which halves what is
// read of shared memory for a product. Blocks of the last tokens, which see most, come first.
//
// Numerics: queries and weights are rounded to bf16, sums are fp32. Scores of tokens that a row does not see are left
// out whatever they are; a value of the block's own tokens that is not finite shows in rows of the block before it too.
// Constants: X, O the codes of the types of queries and outputs; D, 32, 64 or 128; VECTOR, 16 bytes of X and pairs of
// O at once, or 1.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Input;
typedef ElementOf<O>::type Output;

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kRows = 128;
constexpr int kWarpRows = kRows / kWarps;
constexpr int kTiles = kWarpRows / 16;
constexpr int kPageTokens = 64;
// Keys that a warp has scores of at once.
constexpr int kStep = 32;
// Rows of shared memory are 16 bytes longer than they hold, which puts neighbours into other banks.
constexpr int kPitch = D + 8;

struct Shared {
  bf16 q[kRows][kPitch];
  bf16 k[2][kPageTokens][kPitch];
  bf16 v[2][kPageTokens][kPitch];
};

/// A block's part of the work: rows [first, ...) of piece `piece`, `count` tokens from `token` of the call on.
struct Work {
  int piece, first, token, count;
};

/// Blocks are given to pieces in order, as many as their rows take; those that are left over get none.
__device__ __forceinline__ Work work_of(int block, const int* offsets, int pieces, int group) {
  for (int i = 0; i < pieces; i++) {
    int count = offsets != nullptr ? offsets[i + 1] - offsets[i] : 1;
    int blocks = (count * group + kRows - 1) / kRows;
    if (block < blocks) return {i, (blocks - 1 - block) * kRows, offsets != nullptr ? offsets[i] : i, count};
    block -= blocks;
  }
  return {-1};
}

/// Starts to copy a page's first `present` tokens, zeros behind them.
__device__ __forceinline__ void fetch(const bf16* keys, int present, bf16 (&k)[kPageTokens][kPitch],
                                      bf16 (&v)[kPageTokens][kPitch]) {
  constexpr int kVectors = D / 8;
#pragma unroll 4
  for (int unit = threadIdx.x; unit < kPageTokens * kVectors; unit += kThreads) {
    int token = unit / kVectors, channel = unit % kVectors * 8;
    const bf16* from = keys + token * D + channel;
    copy_async(&k[token][channel], from, token < present);
    copy_async(&v[token][channel], from + kPageTokens * D, token < present);
  }
}

/// A warp's 32 rows so far; lane l has of each tile of 16 the rows l / 4 and l / 4 + 8.
struct Softmax {
  float max[kTiles][2], sum[kTiles][2];
  float o[kTiles][D / 8][4];
};

/// Takes 32 keys, the first of them at `position`, into the softmax; last: the positions of the lane's rows.
__device__ __forceinline__ void attend(const bf16 (&q)[kRows][kPitch], const bf16 (&k)[kPageTokens][kPitch],
                                       const bf16 (&v)[kPageTokens][kPitch], int key, int position, float scale,
                                       const int (&last)[kTiles][2], Softmax& softmax) {
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
      load_matrices(b, &k[key + n * 8 + lane % 8 + lane / 16 * 8][d + lane / 8 % 2 * 8]);
#pragma unroll
      for (int m = 0; m < kTiles; m++) {
        mma_bf16(s[m][n], a[m], {b[0], b[1]});
        mma_bf16(s[m][n + 1], a[m], {b[2], b[3]});
      }
    }
  }
#pragma unroll
  for (int m = 0; m < kTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float most = softmax.max[m][half];
#pragma unroll
      for (int n = 0; n < kStep / 8; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          bool seen = position + n * 8 + lane % 4 * 2 + i <= last[m][half];
          float& score = s[m][n][2 * half + i];
          score = seen ? score * scale : __uint_as_float(0xff800000u);
          most = fmaxf(most, score);
        }
      }
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
      float factor = most == softmax.max[m][half] ? 1.0f : exp2f(softmax.max[m][half] - most);
      softmax.max[m][half] = most;
      softmax.sum[m][half] *= factor;
#pragma unroll
      for (int n = 0; n < kStep / 8; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          bool seen = position + n * 8 + lane % 4 * 2 + i <= last[m][half];
          float& score = s[m][n][2 * half + i];
          score = seen ? exp2f(score - most) : 0.0f;
          softmax.sum[m][half] += score;
        }
      }
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        softmax.o[m][n][2 * half] *= factor;
        softmax.o[m][n][2 * half + 1] *= factor;
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
      load_matrices_transposed(b, &v[key + block * 16 + lane % 16][n * 8 + lane / 16 * 8]);
#pragma unroll
      for (int m = 0; m < kTiles; m++) {
        mma_bf16(softmax.o[m][n], p[m], {b[0], b[1]});
        mma_bf16(softmax.o[m][n + 1], p[m], {b[2], b[3]});
      }
    }
  }
}

/// Block (part of the work, kv head). Piece i is tokens [offsets[i], offsets[i + 1]) of q and out (token i where there
/// are no offsets), from position starts[i] of sequences[i] on; -1 is none, and its outputs become zero. Keys and
/// values of all of them are in the pages.
extern "C" __global__ void __launch_bounds__(kThreads)
    cache_prefill(const Input* q, int64_t q_token, int64_t q_head, int group, float scale, const bf16* pages,
                  int64_t page_bytes, const int* table, int pages_each, const int* sequences, const int* starts,
                  const int* offsets, int pieces, Output* out, int64_t o_token, int64_t o_head) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  Work work = work_of(blockIdx.x, offsets, pieces, group);
  if (work.piece < 0) return;
  int head = blockIdx.y, warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int sequence = sequences[work.piece], start = starts[work.piece];
  int rows = min(kRows, work.count * group - work.first);
  q += work.token * q_token + int64_t(head) * group * q_head;
  out += work.token * o_token + int64_t(head) * group * o_head;
  constexpr int kVectors = D / VECTOR;
  for (int unit = threadIdx.x; unit < kRows * kVectors; unit += kThreads) {
    int row = unit / kVectors, channel = unit % kVectors * VECTOR, at = work.first + row;
    float x[VECTOR] = {};
    if (row < rows && sequence >= 0) load(q + at / group * q_token + at % group * q_head + channel, x);
    store(&shared.q[row][channel], x);
  }
  int last[kTiles][2];
  Softmax softmax = {};
#pragma unroll
  for (int m = 0; m < kTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int at = work.first + min(rows - 1, warp * kWarpRows + 16 * m + 8 * half + lane / 4);
      last[m][half] = start + at / group;
      softmax.max[m][half] = __uint_as_float(0xff800000u);
    }
  }
  int warp_last = start + (work.first + min(rows, (warp + 1) * kWarpRows) - 1) / group;
  int length = sequence < 0 ? 0 : start + (work.first + rows - 1) / group + 1;
  int count = (length + kPageTokens - 1) / kPageTokens;
  const int* numbers = table + int64_t(max(sequence, 0)) * pages_each;
  int page = count > 0 ? numbers[0] : -1;
  pages += int64_t(head) * 2 * kPageTokens * D;
  fetch(pages + max(page, 0) * (page_bytes / 2), page < 0 ? 0 : length, shared.k[0], shared.v[0]);
  commit_copies();
  for (int i = 0; i < count; i++) {
    int next = i + 1 < min(count, pages_each) ? numbers[i + 1] : -1;
    fetch(pages + max(next, 0) * (page_bytes / 2), next < 0 ? 0 : length - (i + 1) * kPageTokens,
          shared.k[(i + 1) % 2], shared.v[(i + 1) % 2]);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    if (page < 0) {
#pragma unroll
      for (int m = 0; m < kTiles; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          if (last[m][half] >= i * kPageTokens) softmax.sum[m][half] = __uint_as_float(0x7fc00000u);
        }
      }
    } else {
      for (int key = 0; key < kPageTokens && i * kPageTokens + key <= warp_last; key += kStep) {
        attend(shared.q, shared.k[i % 2], shared.v[i % 2], key, i * kPageTokens + key, scale, last, softmax);
      }
    }
    page = next;
    // The next copies go where this page lies.
    __syncthreads();
  }
#pragma unroll
  for (int m = 0; m < kTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float sum = softmax.sum[m][half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      int row = warp * kWarpRows + 16 * m + 8 * half + lane / 4, at = work.first + row;
      if (row >= rows) continue;
      Output* to = out + at / group * o_token + at % group * o_head + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        float pair[2] = {softmax.o[m][n][2 * half], softmax.o[m][n][2 * half + 1]};
        pair[0] = sequence < 0 ? 0.0f : pair[0] / sum;
        pair[1] = sequence < 0 ? 0.0f : pair[1] / sum;
        if (VECTOR > 1) {
          store(to + n * 8, pair);
        } else {
          to[n * 8] = narrow<Output>(pair[0]);
          to[n * 8 + 1] = narrow<Output>(pair[1]);
        }
      }
    }
  }
}

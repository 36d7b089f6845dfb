// Products of one chunk of 64 tokens on tensor cores, which passes forward and backward share. A block of four warps
// has `columns` columns of the values and of the state S [keys, columns], which stays in its registers:
//
//   O  = ((Q K^T) o D) V + diag(factors) Q S,   D_ij = lambda^(i-j) for i >= j
//   S' = lambda^m S + K^T W                     W: the values of the m tokens, each with its decay
//
// Warp w makes the outputs of tokens 16 w to 16 w + 15 and the rows 16 w, 16 (w + 4), ... of the state.
// A kernel's struct Shared has q, k [kChunk][keys + kPad], v, decayed[part] [kChunk][columns + kPad],
// state[part] [keys][columns + kPad] and decay, the powers 0 to kChunk of lambda.
#pragma once
#include "core_cuda.cuh"

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kChunk = 64;
// Rows of shared memory are 16 bytes longer than they hold, which puts neighbours into other banks.
constexpr int kPad = 8;

/// 16 x 16 tiles down a state that a warp has.
__device__ constexpr int state_tiles(int keys) { return (keys / 16 + kWarps - 1) / kWarps; }

__device__ __forceinline__ void split(float x, bf16& high, bf16& low) {
  high = narrow<bf16>(x);
  low = narrow<bf16>(x - widen(high));
}

/// Calls f(row, column, x, y) for neighbours x, y of the warp's rows of a state.
template <int keys, int down, int tiles, class F>
__device__ __forceinline__ void for_state(float (&s)[down][tiles][4], F f) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int tile = 0; tile < down; tile++) {
    int row = (tile * kWarps + warp) * 16 + lane / 4;
    if (row >= keys) continue;
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
      for (int i = 0; i < 4; i += 2) f(row + i * 4, n * 8 + lane % 4 * 2, s[tile][n][i], s[tile][n][i + 1]);
    }
  }
}

/// Calls f(token, column, x, y) for neighbours x, y of the warp's outputs.
template <int tiles, class F>
__device__ __forceinline__ void for_outputs(float (&o)[tiles][4], F f) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int n = 0; n < tiles; n++) {
#pragma unroll
    for (int i = 0; i < 4; i += 2) f(warp * 16 + lane / 4 + i * 4, n * 8 + lane % 4 * 2, o[n][i], o[n][i + 1]);
  }
}

/// o = factor lambda^(i + later) Q S for a warp's 16 tokens; the state in `parts` parts.
template <int keys, int parts, class Shared, int tiles>
__device__ __forceinline__ void outputs_of_state(const Shared& shared, int later, float factor, float (&o)[tiles][4]) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int n = 0; n < tiles; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) o[n][i] = 0;
  }
  for (int d = 0; d < keys; d += 16) {
    uint32_t a[4];
    load_matrices(a, &shared.q[warp * 16 + lane % 16][d + lane / 16 * 8]);
#pragma unroll
    for (int n = 0; n < tiles; n += 2) {
#pragma unroll
      for (int part = 0; part < parts; part++) {
        uint32_t b[4];
        load_matrices_transposed(b, &shared.state[part][d + lane % 16][n * 8 + lane / 16 * 8]);
        mma_bf16(o[n], a, {b[0], b[1]});
        mma_bf16(o[n + 1], a, {b[2], b[3]});
      }
    }
  }
  int row = warp * 16 + lane / 4 + later;
#pragma unroll
  for (int n = 0; n < tiles; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) o[n][i] *= factor * shared.decay[row + i / 2 * 8];
  }
}

/// o += factor ((Q K^T) o D) V, 16 keys at a time, none of them later than the warp's tokens.
template <int keys, class Shared, int tiles>
__device__ __forceinline__ void add_outputs_of_chunk(const Shared& shared, float factor, float (&o)[tiles][4]) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int row = warp * 16 + lane / 4;
  for (int block = 0; block <= warp; block++) {
    float scores[2][4] = {};
    for (int d = 0; d < keys; d += 16) {
      uint32_t a[4], b[4];
      load_matrices(a, &shared.q[warp * 16 + lane % 16][d + lane / 16 * 8]);
      load_matrices(b, &shared.k[block * 16 + lane % 8 + lane / 16 * 8][d + lane / 8 % 2 * 8]);
      mma_bf16(scores[0], a, {b[0], b[1]});
      mma_bf16(scores[1], a, {b[2], b[3]});
    }
#pragma unroll
    for (int n = 0; n < 2; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int apart = row + i / 2 * 8 - (block * 16 + n * 8 + lane % 4 * 2 + i % 2);
        scores[n][i] = apart >= 0 ? scores[n][i] * shared.decay[apart] * factor : 0.0f;
      }
    }
    uint32_t p[4] = {pack_bf16(scores[0][0], scores[0][1]), pack_bf16(scores[0][2], scores[0][3]),
                     pack_bf16(scores[1][0], scores[1][1]), pack_bf16(scores[1][2], scores[1][3])};
#pragma unroll
    for (int n = 0; n < tiles; n += 2) {
      uint32_t b[4];
      load_matrices_transposed(b, &shared.v[block * 16 + lane % 16][n * 8 + lane / 16 * 8]);
      mma_bf16(o[n], p, {b[0], b[1]});
      mma_bf16(o[n + 1], p, {b[2], b[3]});
    }
  }
}

/// Moves a warp's rows of the state on by a chunk; loss is lambda^m - 1, which has more digits than lambda^m. The
/// decayed values are in `parts` parts, 1 or 2.
template <int keys, class Shared, int down, int tiles>
__device__ __forceinline__ void advance(const Shared& shared, int parts, float loss, float (&s)[down][tiles][4]) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int tile = 0; tile < down; tile++) {
#pragma unroll
    for (int n = 0; n < tiles; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) s[tile][n][i] = fmaf(s[tile][n][i], loss, s[tile][n][i]);
    }
  }
  for (int t = 0; t < kChunk; t += 16) {
    uint32_t a[down][4];
#pragma unroll
    for (int tile = 0; tile < down; tile++) {
      int d = (tile * kWarps + warp) * 16;
      if (d < keys) load_matrices_transposed(a[tile], &shared.k[t + lane % 8 + lane / 16 * 8][d + lane / 8 % 2 * 8]);
    }
#pragma unroll
    for (int part = 0; part < 2; part++) {
      if (part >= parts) continue;
#pragma unroll
      for (int n = 0; n < tiles; n += 2) {
        uint32_t b[4];
        load_matrices_transposed(b, &shared.decayed[part][t + lane % 16][n * 8 + lane / 16 * 8]);
#pragma unroll
        for (int tile = 0; tile < down; tile++) {
          if ((tile * kWarps + warp) * 16 >= keys) continue;
          mma_bf16(s[tile][n], a[tile], {b[0], b[1]});
          mma_bf16(s[tile][n + 1], a[tile], {b[2], b[3]});
        }
      }
    }
  }
}

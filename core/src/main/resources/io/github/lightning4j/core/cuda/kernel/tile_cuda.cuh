// Tiles of matrix products on tensor cores: rows of bf16, 64 deep, in shared memory.
//
// A granule of 16 bytes lies at its place exclusive-or its row, so that neither copies nor ldmatrix meet in a bank.
#pragma once
#include "core_cuda.cuh"

constexpr int kDepth = 64;

/// Where granule `granule` of a row of kDepth bf16 lies.
__device__ __forceinline__ int place(int row, int granule) { return (granule ^ row % 8) * 8; }

/// Starts the copies of columns [at, at + kDepth) of `rows` rows; zeros from row `count` and column `end` on.
template <int threads, int rows>
__device__ __forceinline__ void bring_rows(bf16 (&to)[rows][kDepth], const bf16* from, int64_t ld, int count, int at,
                                           int end) {
  for (int unit = threadIdx.x; unit < rows * 8; unit += threads) {
    int row = unit / 8, granule = unit % 8;
    bool there = row < count && at + granule * 8 < end;
    copy_async(&to[row][place(row, granule)], there ? from + row * ld + at + granule * 8 : from, there);
  }
}

/// sum += x w^T over 16 columns from `depth`: `down` tiles of 16 rows of x from row x_row, `across` tiles of 8 rows of w
/// from row w_row. A warp's.
template <int down, int across>
__device__ __forceinline__ void multiply(const bf16* x, int x_row, const bf16* w, int w_row, int depth,
                                         float (&sum)[down][across][4]) {
  int lane = threadIdx.x % kWarp;
  uint32_t a[down][4], b[across][2];
#pragma unroll
  for (int i = 0; i < down; i++) {
    int row = x_row + i * 16 + lane % 16;
    load_matrices(a[i], x + row * kDepth + place(row, depth / 8 + lane / 16));
  }
#pragma unroll
  for (int j = 0; j < across; j += 2) {
    int row = w_row + j * 8 + lane % 8 + lane / 16 * 8;
    uint32_t both[4];
    load_matrices(both, w + row * kDepth + place(row, depth / 8 + lane / 8 % 2));
    b[j][0] = both[0], b[j][1] = both[1], b[j + 1][0] = both[2], b[j + 1][1] = both[3];
  }
#pragma unroll
  for (int i = 0; i < down; i++) {
#pragma unroll
    for (int j = 0; j < across; j++) mma_bf16(sum[i][j], a[i], b[j]);
  }
}

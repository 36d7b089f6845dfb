// Products on tensor cores whose operands lie either way: with K along their rows, or with a row for each k.
//
//   sum[row, column] += a[row, k] b[k, column]
//
// A gradient takes a matrix as it lies in memory and as its transpose. Nothing is transposed in memory: a tile with a
// row for each k comes into shared memory as it is, kDepth rows of it, and ldmatrix turns 8 x 8 elements round on their
// way to registers. Granules of 16 bytes lie as in tile_cuda.cuh in either case, so no access meets another in a bank.
//
// A block makes `rows` x `columns` of sums, a warp of it `warp_rows` x 32, through a ring of stages in shared memory
// with copies in the background. Sums are fp32, in the order of K: the same bits always.
#pragma once
#include "tile_cuda.cuh"

/// How a block's tile of sums is shared out to its warps.
template <int rows, int columns, int warp_rows>
struct TileOf {
  static constexpr int kWarpsAcross = columns / 32;
  static constexpr int kThreads = rows / warp_rows * kWarpsAcross * kWarp;
  static constexpr int kDown = warp_rows / 16;
  static constexpr int kAcross = 4;
  typedef float Sums[kDown][kAcross][4];

  static __device__ __forceinline__ int row() { return int(threadIdx.x) / kWarp / kWarpsAcross * warp_rows; }
  static __device__ __forceinline__ int column() { return int(threadIdx.x) / kWarp % kWarpsAcross * 32; }

  /// Calls f(row, column, i, j, e) for each pair of neighbours of this thread, sum[i][j][e] and the one after it.
  template <class F>
  static __device__ __forceinline__ void for_pairs(F f) {
    int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kDown; i++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int j = 0; j < kAcross; j++) {
          f(row() + i * 16 + lane / 4 + half * 8, column() + j * 8 + lane % 4 * 2, i, j, half * 2);
        }
      }
    }
  }
};

/// An operand in shared memory with K along its rows, [..][kDepth], as bring_rows leaves it.
struct Along {
  const bf16* at;

  /// 16 rows by 16 of K of the left operand.
  __device__ __forceinline__ void left(int row, int depth, uint32_t (&a)[4]) const {
    int lane = threadIdx.x % kWarp, own = row + lane % 16;
    load_matrices(a, at + own * kDepth + place(own, depth / 8 + lane / 16));
  }
  /// 16 of K by twice 8 columns of the right one, which are rows here.
  __device__ __forceinline__ void right(int column, int depth, uint32_t (&b)[4]) const {
    int lane = threadIdx.x % kWarp, own = column + lane % 8 + lane / 16 * 8;
    load_matrices(b, at + own * kDepth + place(own, depth / 8 + lane / 8 % 2));
  }
};

/// An operand in shared memory with a row for each k, [kDepth][width], as bring_depths leaves it.
template <int width>
struct Down {
  const bf16* at;

  __device__ __forceinline__ void left(int row, int depth, uint32_t (&a)[4]) const {
    int lane = threadIdx.x % kWarp, own = depth + lane % 8 + lane / 16 * 8;
    load_matrices_transposed(a, at + own * width + place(own, row / 8 + lane / 8 % 2));
  }
  __device__ __forceinline__ void right(int column, int depth, uint32_t (&b)[4]) const {
    int lane = threadIdx.x % kWarp, own = depth + lane % 16;
    load_matrices_transposed(b, at + own * width + place(own, column / 8 + lane / 16));
  }
};

/// sum += a b over a stage: rows of a from `row`, columns of b from `column`. A warp's.
template <class A, class B, int down, int across>
__device__ __forceinline__ void multiply_stage(const A& a, int row, const B& b, int column,
                                               float (&sum)[down][across][4]) {
#pragma unroll
  for (int depth = 0; depth < kDepth; depth += 16) {
    uint32_t left[down][4], right[across][2];
#pragma unroll
    for (int i = 0; i < down; i++) a.left(row + i * 16, depth, left[i]);
#pragma unroll
    for (int j = 0; j < across; j += 2) {
      uint32_t both[4];
      b.right(column + j * 8, depth, both);
      right[j][0] = both[0], right[j][1] = both[1], right[j + 1][0] = both[2], right[j + 1][1] = both[3];
    }
#pragma unroll
    for (int i = 0; i < down; i++) {
#pragma unroll
      for (int j = 0; j < across; j++) mma_bf16(sum[i][j], left[i], right[j]);
    }
  }
}

/// Starts the copies of a stage whose rows are k, `width` columns from `from`: row k from `from + row_of(k) ld`, zeros
/// where row_of(k) is negative and from column `count` on.
template <int threads, int width, class RowOf>
__device__ __forceinline__ void bring_depths(bf16 (&to)[kDepth][width], const bf16* from, int64_t ld, int count,
                                             RowOf row_of) {
  constexpr int kGranules = width / 8;
  for (int unit = threadIdx.x; unit < kDepth * kGranules; unit += threads) {
    int k = unit / kGranules, granule = unit % kGranules;
    int64_t row = row_of(k);
    bool there = row >= 0 && granule * 8 < count;
    copy_async(&to[k][place(k, granule)], there ? from + row * ld + granule * 8 : from, there);
  }
}

/// bring_rows for rows that lie anywhere: row i from `from + row_of(i) ld`, zeros where row_of(i) is negative.
template <int threads, int rows, class RowOf>
__device__ __forceinline__ void bring_gathered(bf16 (&to)[rows][kDepth], const bf16* from, int64_t ld, int at, int end,
                                               RowOf row_of) {
  for (int unit = threadIdx.x; unit < rows * 8; unit += threads) {
    int i = unit / 8, granule = unit % 8;
    int64_t row = row_of(i);
    bool there = row >= 0 && at + granule * 8 < end;
    copy_async(&to[i][place(i, granule)], there ? from + row * ld + at + granule * 8 : from, there);
  }
}

/// Calls bring(stage, step) `stages - 1` steps ahead of multiply(stage, step), for each step.
template <int stages, class Bring, class Multiply>
__device__ __forceinline__ void for_stages(int steps, Bring bring, Multiply multiply) {
#pragma unroll
  for (int step = 0; step < stages - 1; step++) {
    if (step < steps) bring(step, step);
    commit_copies();
  }
  for (int step = 0; step < steps; step++) {
    wait_copies<stages - 2>();
    // The stage has come for all, and nobody reads the one before any more, whose place the next copies take.
    __syncthreads();
    int ahead = step + stages - 1;
    if (ahead < steps) bring(ahead % stages, ahead);
    commit_copies();
    multiply(step % stages, step);
  }
}

/// The steps of kDepth that K has.
__device__ __forceinline__ int steps_of(int k) { return (k + kDepth - 1) / kDepth; }

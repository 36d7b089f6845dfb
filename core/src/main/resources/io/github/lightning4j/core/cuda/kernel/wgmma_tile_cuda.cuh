// Tiles of matrix products x w^T by GROUPS warp groups: each has 64 rows of x by all the `columns` rows of w.
//
// A ring of `stages` buffers of 64 columns of K each is filled by copies in the background. While the products of a step
// run, the copies of the step `stages` - 2 ahead start, into the buffer whose products were waited for before the
// barrier of this step: the tensor cores always have the next step's products to go on with, and there is one barrier a
// step. Products of one step read x once and w once a group; nothing of them goes through registers.
#pragma once
#include "tile_cuda.cuh"
#include "wgmma_cuda.cuh"

constexpr int kTileRows = GROUPS * 64;
constexpr int kTileThreads = GROUPS * kGroup;

template <int columns>
struct GroupStage {
  bf16 x[kTileRows][kDepth];
  bf16 w[columns][kDepth];
};

/// d = the sums over `steps` steps of K, the first of which starts at 0. `source.bring(stage, step)` starts this
/// thread's share of a step's copies. Groups whose rows are all beyond `rows` only copy. Nothing is under way
/// afterwards, and nobody reads `ring` any more.
template <int stages, int columns, class Source>
__device__ __forceinline__ void multiply_steps(GroupStage<columns>* ring, const Source& source, int rows, int steps,
                                               float (&d)[columns / 2]) {
  constexpr int kAhead = stages - 2;
  // The same in all lanes, which the compiler sees by this.
  int row = __shfl_sync(kAllLanes, int(threadIdx.x) / kGroup, 0) * 64;
  bool busy = row < rows;
#pragma unroll
  for (int i = 0; i < columns / 2; i++) d[i] = 0.0f;
#pragma unroll
  for (int step = 0; step < kAhead; step++) {
    if (step < steps) source.bring(ring[step], step);
    commit_copies();
  }
  for (int step = 0; step < steps; step++) {
    wait_copies<kAhead - 1>();
    fence_tiles();
    __syncthreads();
    const GroupStage<columns>& stage = ring[step % stages];
    if (busy) {
      fence_products();
#pragma unroll
      for (int depth = 0; depth < kDepth; depth += 16) {
        multiply_tiles(d, describe(stage.x[row] + depth), describe(stage.w[0] + depth));
      }
      commit_products();
    }
    int next = step + kAhead;
    if (next < steps) source.bring(ring[next % stages], next);
    commit_copies();
    wait_products<1>();
  }
  wait_products<0>();
  settle(d);
  __syncthreads();
}

/// Floats between rows of what lay_out writes: neighbouring rows go to other banks.
template <int columns>
constexpr int kPitch = columns + 8;

/// The sums as they are.
template <int columns>
struct Pairs {
  const float (&d)[columns / 2];

  __device__ __forceinline__ Vector<float, 2> operator()(int i) const { return {d[2 * i], d[2 * i + 1]}; }
};

/// Writes `width` sums of each row of the block's tile to shared memory, where each row is one piece, for all threads to
/// read in any order. `pair(i)` gives the sums 2 i and 2 i + 1 of this thread.
template <int width, class Pairs>
__device__ __forceinline__ void lay_out(float* to, const Pairs& pairs) {
  int row = threadIdx.x / kWarp * 16 + threadIdx.x % kWarp / 4, column = threadIdx.x % 4 * 2;
#pragma unroll
  for (int i = 0; i < width / 4; i++) {
    Vector<float, 2> two = pairs(i);
    *reinterpret_cast<Vector<float, 2>*>(to + (row + i % 2 * 8) * kPitch<width> + i / 2 * 8 + column) = two;
  }
  __syncthreads();
}

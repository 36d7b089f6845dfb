// out = x w^T for many rows of x in bf16, on tensor cores, tile by tile of out.
//
// A block makes ROWS x COLUMNS of out; a warp of it WARP_ROWS x 32 in registers. Both operands come 64 deep into a ring
// of STAGES buffers in shared memory by copies in the background, so that STAGES - 1 steps are under way while one is
// multiplied. A granule of 16 bytes lies at its place exclusive-or its row, which keeps ldmatrix free of conflicts.
// Weights of 8 and 4 bits come as codes; a step's codes are widened to integers in bf16 in one more buffer first, and
// the sums of a block of a row are multiplied by its scale in fp32: no weight is rounded.
//
// Where tiles are too few for the GPU, blockIdx.z shares out K, and gemm_join adds the parts.
// Constants: W 1 bf16, 2 eight bits, 3 four bits; BLOCK the weights of a scale; O the code of the type of out; ROWS,
// COLUMNS, WARP_ROWS, STAGES.
#include "core_cuda.cuh"
#include "quant_cuda.cuh"

typedef ElementOf<O>::type Output;

constexpr int kDepth = 64;
constexpr int kWarpColumns = 32;
constexpr int kWarpsDown = ROWS / WARP_ROWS;
constexpr int kWarpsAcross = COLUMNS / kWarpColumns;
constexpr int kThreads = kWarpsDown * kWarpsAcross * kWarp;
constexpr int kBits = W == 1 ? 16 : W == 2 ? 8 : 4;
constexpr bool kCodes = W >= 2;
/// Bytes of a row of weights in a step.
constexpr int kRowBytes = kDepth * kBits / 8;
/// Within this many of K one scale holds.
constexpr int kRun = kCodes && BLOCK < kDepth ? BLOCK : kDepth;
constexpr int kDown = WARP_ROWS / 16;
constexpr int kAcross = kWarpColumns / 8;

struct Stage {
  bf16 x[ROWS][kDepth];
  uint8_t w[COLUMNS][kRowBytes];
};

struct Shared {
  Stage stages[STAGES];
  bf16 widened[kCodes ? COLUMNS : 1][kDepth];
};

/// Where granule `granule` of a row of kDepth bf16 lies.
__device__ __forceinline__ int place(int row, int granule) { return (granule ^ row % 8) * 8; }

/// Starts the copies of a step. Rows from `m` and `n` on, and what is beyond K, become zeros.
__device__ __forceinline__ void bring(Stage& to, const bf16* x, int64_t ldx, int m, const uint8_t* w, int64_t row_bytes,
                                      int n, int at, int k) {
  for (int unit = threadIdx.x; unit < ROWS * 8; unit += kThreads) {
    int row = unit / 8, granule = unit % 8;
    bool there = row < m && at + granule * 8 < k;
    copy_async(&to.x[row][place(row, granule)], there ? x + row * ldx + at + granule * 8 : x, there);
  }
  constexpr int kGranules = kRowBytes / 16;
  for (int unit = threadIdx.x; unit < COLUMNS * kGranules; unit += kThreads) {
    int row = unit / kGranules, granule = unit % kGranules;
    bool there = row < n && at + granule * (128 / kBits) < k;
    int column = kCodes ? granule * 16 : place(row, granule) * 2;
    copy_async(&to.w[row][column], there ? w + row * row_bytes + int64_t(at) * kBits / 8 + granule * 16 : w, there);
  }
}

/// Four neighbours from the pairs (0, 2) and (1, 3), in their order.
__device__ __forceinline__ void in_order(const uint32_t (&pairs)[2], uint32_t* to) {
  to[0] = __byte_perm(pairs[0], pairs[1], 0x5410);
  to[1] = __byte_perm(pairs[0], pairs[1], 0x7632);
}

/// A step's codes as integers in bf16. `zeros` are those of the block's first row.
__device__ __forceinline__ void widen_codes(Shared& shared, const Stage& stage, const uint8_t* zeros, int blocks, int n,
                                            int at, int k) {
  constexpr int kGranules = kRowBytes / 16;
  constexpr int kEach = 128 / kBits;
  for (int unit = threadIdx.x; unit < COLUMNS * kGranules; unit += kThreads) {
    int row = unit / kGranules, granule = unit % kGranules;
    Vector<uint32_t, 4> codes = *reinterpret_cast<const Vector<uint32_t, 4>*>(&stage.w[row][granule * 16]);
    uint32_t out[kEach / 2];
    if constexpr (W == 2) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        uint32_t pairs[2];
        widen_int8(codes.at[i], pairs);
        in_order(pairs, out + i * 2);
      }
    } else if constexpr (W == 3) {
      int first = at + granule * kEach;
      uint32_t offset = offset_int4(row < n && first < k ? zeros[int64_t(row) * blocks + first / BLOCK] : 0);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        uint32_t pairs[2];
        widen_int4(codes.at[i % 4] >> i / 4 * 4, offset, pairs);
        in_order(pairs, out + i * 2);
      }
    }
#pragma unroll
    for (int i = 0; i < kEach / 8; i++) {
      Vector<uint32_t, 4> eight;
#pragma unroll
      for (int j = 0; j < 4; j++) eight.at[j] = out[i * 4 + j];
      *reinterpret_cast<Vector<uint32_t, 4>*>(&shared.widened[row][place(row, granule * kEach / 8 + i)]) = eight;
    }
  }
}

/// Tile (blockIdx.x, blockIdx.y) of out over the part blockIdx.z of K. With `partial` [parts][m][n] the sums go there;
/// else out = alpha sum + beta residual. x and w start, and their rows do, at multiples of 16 bytes; k is a multiple of 8.
extern "C" __global__ void __launch_bounds__(kThreads, 2)
    gemm_tiles(const bf16* x, int64_t ldx, const uint8_t* w, int64_t row_bytes, const bf16* scales,
               const uint8_t* zeros, int blocks, int m, int n, int k, int span, float* partial, Output* out,
               int64_t ldo, float alpha, const Output* residual, int64_t ldr, float beta) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int64_t first_row = int64_t(blockIdx.x) * ROWS, first_column = int64_t(blockIdx.y) * COLUMNS;
  int rows = min(ROWS, int(m - first_row)), columns = min(COLUMNS, int(n - first_column));
  int warp_row = warp / kWarpsAcross * WARP_ROWS, warp_column = warp % kWarpsAcross * kWarpColumns;
  int start = blockIdx.z * span, end = min(k, start + span);
  int steps = (end - start + kDepth - 1) / kDepth;
  x += first_row * ldx;
  w += first_column * row_bytes;
  if constexpr (kCodes) scales += first_column * blocks;
  if constexpr (W == 3) zeros += first_column * blocks;

  float sum[kDown][kAcross][4] = {};
#pragma unroll
  for (int step = 0; step < STAGES - 1; step++) {
    if (step < steps) bring(shared.stages[step], x, ldx, rows, w, row_bytes, columns, start + step * kDepth, end);
    commit_copies();
  }
  for (int step = 0; step < steps; step++) {
    wait_copies<STAGES - 2>();
    __syncthreads();
    int next = step + STAGES - 1, at = start + step * kDepth;
    if (next < steps) {
      bring(shared.stages[next % STAGES], x, ldx, rows, w, row_bytes, columns, start + next * kDepth, end);
    }
    commit_copies();
    const Stage& stage = shared.stages[step % STAGES];
    const bf16* operand = reinterpret_cast<const bf16*>(stage.w);
    if constexpr (kCodes) {
      widen_codes(shared, stage, zeros, blocks, columns, at, end);
      __syncthreads();
      operand = shared.widened[0];
    }
#pragma unroll
    for (int run = 0; run < kDepth; run += kRun) {
      float part[kDown][kAcross][4] = {};
      float scale[kAcross][2] = {};
      if constexpr (kCodes) {
#pragma unroll
        for (int i = 0; i < kAcross * 2; i++) {
          int column = warp_column + i / 2 * 8 + lane % 4 * 2 + i % 2;
          if (column < columns && at + run < end) {
            scale[i / 2][i % 2] = widen(scales[int64_t(column) * blocks + (at + run) / BLOCK]);
          }
        }
      }
#pragma unroll
      for (int depth = run; depth < run + kRun; depth += 16) {
        uint32_t a[kDown][4], b[kAcross][2];
#pragma unroll
        for (int i = 0; i < kDown; i++) {
          int row = warp_row + i * 16 + lane % 16;
          load_matrices(a[i], &stage.x[row][place(row, depth / 8 + lane / 16)]);
        }
#pragma unroll
        for (int j = 0; j < kAcross; j += 2) {
          int row = warp_column + j * 8 + lane % 8 + lane / 16 * 8;
          uint32_t both[4];
          load_matrices(both, operand + row * kDepth + place(row, depth / 8 + lane / 8 % 2));
          b[j][0] = both[0], b[j][1] = both[1], b[j + 1][0] = both[2], b[j + 1][1] = both[3];
        }
#pragma unroll
        for (int i = 0; i < kDown; i++) {
#pragma unroll
          for (int j = 0; j < kAcross; j++) mma_bf16(kCodes ? part[i][j] : sum[i][j], a[i], b[j]);
        }
      }
      if constexpr (kCodes) {
#pragma unroll
        for (int i = 0; i < kDown; i++) {
#pragma unroll
          for (int j = 0; j < kAcross; j++) {
#pragma unroll
            for (int e = 0; e < 4; e++) sum[i][j][e] = fmaf(scale[j][e % 2], part[i][j][e], sum[i][j][e]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kDown; i++) {
#pragma unroll
    for (int j = 0; j < kAcross; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int row = warp_row + i * 16 + lane / 4 + e / 2 * 8;
        int column = warp_column + j * 8 + lane % 4 * 2 + e % 2;
        if (row >= rows || column >= columns) continue;
        int64_t to_row = first_row + row, to_column = first_column + column;
        if (partial != nullptr) {
          partial[(int64_t(blockIdx.z) * m + to_row) * n + to_column] = sum[i][j][e];
        } else {
          float all = alpha * sum[i][j][e];
          if (residual != nullptr) all = fmaf(beta, widen(residual[to_row * ldr + to_column]), all);
          out[to_row * ldo + to_column] = narrow<Output>(all);
        }
      }
    }
  }
}

// Products of experts with more than 16 tokens: prompts.
//
//   hidden[slot]  = silu(W1_e x[token]) * (W3_e x[token])      tiled_hidden
//   answers[slot] = W2_e hidden[slot]                          tiled_answers
//
// A block of eight warps makes TILE tokens by 256 weight rows (128 of W1 and the same of W3, so that the gate is
// applied to sums in registers and the hidden row is written once), a warp TILE / 2 by 64. Operands come by copies in
// the background, STAGES - 1 tiles of K ahead; tokens are gathered while they are copied, so nothing is permuted in
// memory. Codes of 8 and 4 bits lie in shared memory as they are and become bf16 in registers. All tiles of tokens of
// one expert that use the same weights stand beside one another in the grid, so weights come from memory once; blocks
// beyond the last tile end at once, which is how the grid does without counts on the host.
// Numerics: bf16 products, fp32 sums; hidden rows are rounded to bf16, answers are fp32.
// Constants: BITS; TILE, 64 or 128 tokens; STAGES.
#include "experts_tiles.cuh"

constexpr int kThreads = 256;
constexpr int kRows = 256;
/// K of a tile: 64 bytes of a row, twice as much in bf16.
constexpr int kK = kStep > 64 ? kStep : 64;
constexpr int kTokenTiles = TILE / 32;
constexpr int kTokenChunks = kK / 8;
constexpr int kRowChunks = kK * BITS / 128;
/// Runs in one stretch of code: more of them do not fit the registers.
constexpr int kUnrolled = 1;
/// Blocks of weights with one scale that a tile may touch.
constexpr int kBlocks = kQuantized ? kK / 32 : 0;
constexpr int kRowsAt = TILE * kTokenChunks * 16;
constexpr int kScalesAt = kRowsAt + kRows * kRowChunks * 16;
constexpr int kZerosAt = kScalesAt + kBlocks * kRows * 2;
constexpr int kStageBytes = kZerosAt + (BITS == 4 ? kBlocks * kRows : 0);

/// Where 16 bytes of a row lie, so that all accesses of eight lanes go to different banks: lanes of two neighbouring
/// rows with every kChunks-th chunk, and of one row with eight.
template <int chunks>
__device__ __forceinline__ int place(int row, int chunk) {
  return row * chunks + (chunk ^ (row & 7) ^ (row & 1) * 6 ^ chunk / 8 * 2);
}

/// Starts the copies of a tile of K.
template <int matrices>
__device__ __forceinline__ void fetch(unsigned char* stage, const bf16* x, int64_t ldx, const int* sources,
                                      const Weights (&w)[matrices], const Shape& shape, int column, int tile) {
  constexpr int kEach = kRows / matrices;
  for (int unit = threadIdx.x; unit < TILE * kTokenChunks; unit += kThreads) {
    int row = unit / kTokenChunks, chunk = unit % kTokenChunks, k = tile * kK + chunk * 8;
    bool present = sources[row] >= 0 && k < shape.k;
    copy_async(stage + place<kTokenChunks>(row, chunk) * 16, x + (present ? sources[row] * ldx + k : 0), present);
  }
  int bytes = shape.row_bytes();
  for (int unit = threadIdx.x; unit < kRows * kRowChunks; unit += kThreads) {
    int row = unit / kRowChunks, chunk = unit % kRowChunks;
    int m = row / kEach, own = column + row % kEach, byte = (tile * kRowChunks + chunk) * 16;
    bool present = own < shape.n && byte < bytes;
    const uint8_t* codes = m == 0 ? w[0].codes : w[matrices - 1].codes;
    int to = kQuantized ? row * kRowChunks + chunk : place<kRowChunks>(row, chunk);
    copy_async(stage + kRowsAt + to * 16, codes + (present ? int64_t(own) * bytes + byte : 0), present);
  }
  if (kQuantized) {
    int blocks = max(1, kK >> shape.shift), first = tile * kK >> shape.shift;
    for (int unit = threadIdx.x; unit < blocks * kRows / 8; unit += kThreads) {
      int block = unit / (kRows / 8), row = unit % (kRows / 8) * 8;
      int m = row / kEach, own = column + row % kEach;
      bool present = own < shape.pitch() && first + block < shape.blocks();
      const uint16_t* scales = m == 0 ? w[0].scales : w[matrices - 1].scales;
      copy_async(stage + kScalesAt + (block * kRows + row) * 2,
                 scales + (present ? int64_t(first + block) * shape.pitch() + own : 0), present);
    }
    if (BITS == 4) {
      for (int unit = threadIdx.x; unit < blocks * kRows / 16; unit += kThreads) {
        int block = unit / (kRows / 16), row = unit % (kRows / 16) * 16;
        int m = row / kEach, own = column + row % kEach;
        bool present = own < shape.pitch() && first + block < shape.blocks();
        const uint8_t* zeros = m == 0 ? w[0].zeros : w[matrices - 1].zeros;
        copy_async(stage + kZerosAt + block * kRows + row,
                   zeros + (present ? int64_t(first + block) * shape.pitch() + own : 0), present);
      }
    }
  }
}

/// The row of a stage that is first in a warp's tile of 8 rows: with two matrices half of the tiles are of each.
template <int matrices>
__device__ __forceinline__ int row_of(int columns_of_warp, int tile) {
  constexpr int kEach = 8 / matrices;
  return tile / kEach * (kRows / matrices) + columns_of_warp * 8 * kEach + tile % kEach * 8;
}

/// Adds the products of a stage.
template <int matrices>
__device__ __forceinline__ void multiply(const unsigned char* stage, int shift, float (&d)[kTokenTiles][8][4]) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, group = lane / 4, quad = lane % 4;
  const uint4* tokens = reinterpret_cast<const uint4*>(stage);
  const uint4* rows = reinterpret_cast<const uint4*>(stage + kRowsAt);
  const uint2* codes = reinterpret_cast<const uint2*>(stage + kRowsAt);
  const uint16_t* scales = reinterpret_cast<const uint16_t*>(stage + kScalesAt);
  const uint8_t* zeros = stage + kZerosAt;
  int first = warp / 4 * (TILE / 2) + group;
#pragma unroll
  for (int step = 0; step < kK / kStep; step++) {
    int block = (step * kStep + quad * 8 * kChunks) >> shift;
#pragma unroll kUnrolled
    for (int run = 0; run < kChunks; run++) {
      int chunk = (step * 4 + quad) * kChunks + run;
      uint4 a[kTokenTiles][2];
#pragma unroll
      for (int m = 0; m < kTokenTiles; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          a[m][half] = tokens[place<kTokenChunks>(first + m * 16 + half * 8, chunk)];
        }
      }
#pragma unroll
      for (int n = 0; n < 8; n++) {
        int row = row_of<matrices>(warp % 4, n) + group;
        uint32_t b[4];
        if (kQuantized) {
          uint2 c = codes[row * kRowChunks * 2 + quad * 2 + word_of(run) / 2];
          uint32_t scale = scales[block * kRows + row], zero = BITS == 4 ? zeros[block * kRows + row] : 0;
          unpack(c.x, c.y, run, twice(scale), twice(zero), b);
        } else {
          uint4 c = rows[place<kRowChunks>(row, chunk)];
          b[0] = c.x, b[1] = c.y, b[2] = c.z, b[3] = c.w;
        }
#pragma unroll
        for (int m = 0; m < kTokenTiles; m++) {
          mma_bf16(d[m][n], {a[m][0].x, a[m][1].x, a[m][0].y, a[m][1].y}, {b[0], b[1]});
          mma_bf16(d[m][n], {a[m][0].z, a[m][1].z, a[m][0].w, a[m][1].w}, {b[2], b[3]});
        }
      }
    }
  }
}

/// The sums of a block's tile. `sources` has the rows of x, -1 for none.
template <int matrices>
__device__ __forceinline__ void products(unsigned char* memory, const bf16* x, int64_t ldx, const int* sources,
                                         const Weights (&w)[matrices], const Shape& shape, int column,
                                         float (&d)[kTokenTiles][8][4]) {
  int tiles = (shape.padded() + kK - 1) / kK;
#pragma unroll
  for (int tile = 0; tile < STAGES - 1; tile++) {
    if (tile < tiles) fetch(memory + tile * kStageBytes, x, ldx, sources, w, shape, column, tile);
    commit_copies();
  }
  for (int tile = 0; tile < tiles; tile++) {
    wait_copies<STAGES - 2>();
    // The tile has come for all, and nobody reads the one before any more, whose place the next copies take.
    __syncthreads();
    int ahead = tile + STAGES - 1;
    if (ahead < tiles) fetch(memory + ahead % STAGES * kStageBytes, x, ldx, sources, w, shape, column, ahead);
    commit_copies();
    multiply<matrices>(memory + tile % STAGES * kStageBytes, shape.shift, d);
  }
}

/// n = I, k = H. Dynamic shared memory: STAGES * kStageBytes.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
    tiled_hidden(const bf16* x, int64_t ldx, const int* sources, const int* offsets, int experts, const uint8_t* gate,
                 const uint16_t* gate_scales, const uint8_t* gate_zeros, const uint8_t* up, const uint16_t* up_scales,
                 const uint8_t* up_zeros, int n, int k, int shift, bf16* hidden) {
  L4J_DYNAMIC_SHARED(memory);
  __shared__ int tokens[TILE];
  Work work;
  if (!find<TILE>(offsets, experts, (n + kRows / 2 - 1) / (kRows / 2), kRows / 2, work)) return;
  for (int i = threadIdx.x; i < TILE; i += kThreads) tokens[i] = i < work.count ? sources[work.first + i] : -1;
  __syncthreads();
  Shape shape = {n, k, shift};
  Weights w[2] = {shape.of({gate, gate_scales, gate_zeros}, work.expert),
                  shape.of({up, up_scales, up_zeros}, work.expert)};
  float d[kTokenTiles][8][4] = {};
  products(memory, x, ldx, tokens, w, shape, work.column, d);
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int m = 0; m < kTokenTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int token = warp / 4 * (TILE / 2) + m * 16 + lane / 4 + half * 8;
#pragma unroll
      for (int tile = 0; tile < 4; tile++) {
        int row = work.column + row_of<2>(warp % 4, tile) + lane % 4 * 2;
        if (token < work.count && row < n) {
          const float(&g)[4] = d[m][tile];
          const float(&u)[4] = d[m][tile + 4];
          *reinterpret_cast<uint32_t*>(hidden + int64_t(work.first + token) * n + row) =
              pack_bf16(silu(g[half * 2]) * u[half * 2], silu(g[half * 2 + 1]) * u[half * 2 + 1]);
        }
      }
    }
  }
}

/// n = H, k = I. Dynamic shared memory: STAGES * kStageBytes.
extern "C" __global__ void __launch_bounds__(kThreads, 1)
    tiled_answers(const bf16* hidden, const int* offsets, int experts, const uint8_t* down, const uint16_t* scales,
                  const uint8_t* zeros, int n, int k, int shift, float* answers) {
  L4J_DYNAMIC_SHARED(memory);
  __shared__ int slots[TILE];
  Work work;
  if (!find<TILE>(offsets, experts, (n + kRows - 1) / kRows, kRows, work)) return;
  for (int i = threadIdx.x; i < TILE; i += kThreads) slots[i] = i < work.count ? work.first + i : -1;
  __syncthreads();
  Shape shape = {n, k, shift};
  Weights w[1] = {shape.of({down, scales, zeros}, work.expert)};
  float d[kTokenTiles][8][4] = {};
  products(memory, hidden, k, slots, w, shape, work.column, d);
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int m = 0; m < kTokenTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int token = warp / 4 * (TILE / 2) + m * 16 + lane / 4 + half * 8;
#pragma unroll
      for (int tile = 0; tile < 8; tile++) {
        int row = work.column + row_of<1>(warp % 4, tile) + lane % 4 * 2;
        if (token < work.count && row < n) {
          float pair[2] = {d[m][tile][half * 2], d[m][tile][half * 2 + 1]};
          store(answers + int64_t(work.first + token) * n + row, pair);
        }
      }
    }
  }
}

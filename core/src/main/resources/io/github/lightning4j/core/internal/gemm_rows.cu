// out = x w^T for few rows of x: each weight is read once, 16 bytes a thread, and goes to tensor cores from registers.
//
// Weights are the 16-row operand of mma m16n8k16 and eight rows of x its columns, so one row of x costs as much as eight.
// Which k is which of the 16 is free as long as both operands agree: four lanes take 16 bytes each of a row of weights
// and hold whole operands then, without shuffles or shared memory. A chunk is what they take together, and never more
// than a block of a quantized row. A block of eight warps has 16 rows of weights; the warps share out K, and their sums
// are added in the order of the warps. Where that makes too few blocks, blockIdx.y shares out K too, and gemm_join adds.
//
// Numerics: fp32 sums of exact products. F32 operands go in three bf16 parts, which keep all 24 digits; products of
// parts below the last digit are left out. Codes of 8 and 4 bits are multiplied as integers, a block's sum by its scale.
// Constants: X the code of the type of x, float or bf16; W 0 float, 1 bf16, 2 eight bits, 3 four bits; BLOCK the weights
// of a scale; O the code of the type of out; COLUMNS, rows of x at once, 8 or 16; ALIGNED, whether vectors may be read.
#include "core_cuda.cuh"
#include "quant_cuda.cuh"

typedef ElementOf<X>::type Input;
typedef ElementOf<O>::type Output;

constexpr int kWarps = 8;
constexpr int kRows = 16;
constexpr int kBits = W == 0 ? 32 : W == 1 ? 16 : W == 2 ? 8 : 4;
constexpr bool kCodes = W >= 2;
constexpr int kMost = kCodes ? BLOCK * kBits / 32 : 16;
constexpr int kBytes = kMost < 16 ? kMost : 16;
constexpr int kWords = kBytes / 4;
constexpr int kChunk = 4 * kBytes * 8 / kBits;
constexpr int kQuads = kChunk / 16;
// Loads under way: what a block takes in one turn should be a small part of K.
constexpr int kAhead = kChunk >= 128 ? 2 : 4;
constexpr int kTurn = kAhead * kChunk;
constexpr int kTiles = COLUMNS / 8;
constexpr int kInputParts = X == 0 ? 3 : 1;
constexpr int kWeightParts = W == 0 ? 3 : 1;

/// Two floats as bf16, and what that leaves as bf16, and what that leaves.
template <int parts, int registers>
__device__ __forceinline__ void pair(float a, float b, uint32_t (&to)[parts][registers], int at) {
#pragma unroll
  for (int part = 0; part < parts; part++) {
    to[part][at] = pack_bf16(a, b);
    a -= __uint_as_float(to[part][at] << 16);
    b -= __uint_as_float(to[part][at] & 0xffff0000u);
  }
}

template <int parts, int registers>
__device__ __forceinline__ void pair(bf16 a, bf16 b, uint32_t (&to)[parts][registers], int at) {
  to[0][at] = a.bits | uint32_t(b.bits) << 16;
}

/// A lane's bytes of a row of weights in the chunk that starts at k; zeros beyond the row.
__device__ __forceinline__ void fetch(const uint8_t* row, int k, int columns, uint32_t (&words)[kWords]) {
  int quarter = threadIdx.x % 4;
  if (kCodes || ALIGNED) {
    int first = k + quarter * (kChunk / 4);
    // Codes of 4 bits lie in groups of 32, of which a lane may have a part.
    if (kBits == 4) first = k + quarter * kBytes / 16 * 32;
    if (row != nullptr && first < columns) {
      load_once(words, row + int64_t(k) * kBits / 8 + quarter * kBytes);
      return;
    }
#pragma unroll
    for (int i = 0; i < kWords; i++) words[i] = 0;
  } else {
#pragma unroll
    for (int i = 0; i < kWords; i++) {
      constexpr int kEach = 32 / kBits > 2 ? 2 : 32 / kBits;
      int at = k + quarter * (kChunk / 4) + i * kEach;
      words[i] = 0;
#pragma unroll
      for (int j = 0; j < kEach; j++) {
        if (row == nullptr || at + j >= columns) continue;
        if (W == 0) {
          words[i] = reinterpret_cast<const uint32_t*>(row)[at];
        } else {
          words[i] |= uint32_t(reinterpret_cast<const uint16_t*>(row)[at + j]) << 16 * j;
        }
      }
    }
  }
}

/// Where in a chunk the four neighbours of a lane's quad start.
__device__ __forceinline__ int quad_at(int quad) {
  int quarter = threadIdx.x % 4;
  if (kBits != 4) return quarter * (kChunk / 4) + quad * 4;
  int byte = quarter * kBytes + quad / 2 * 4;
  return byte / 16 * 32 + byte % 16 + quad % 2 * 16;
}

/// Two registers of operand A: four neighbours of a row of weights.
template <int parts>
__device__ __forceinline__ void weights(const uint32_t (&words)[kWords], int quad, uint32_t offset, int row,
                                        uint32_t (&a)[parts][4]) {
  if constexpr (W == 0) {
    pair(__uint_as_float(words[0]), __uint_as_float(words[1]), a, row);
    pair(__uint_as_float(words[2]), __uint_as_float(words[3]), a, row + 2);
  } else if constexpr (W == 1) {
    a[0][row] = words[quad * 2];
    a[0][row + 2] = words[quad * 2 + 1];
  } else {
    uint32_t pairs[2];
    if constexpr (W == 2) {
      widen_int8(words[quad], pairs);
    } else {
      widen_int4(words[quad / 2] >> quad % 2 * 4, offset, pairs);
    }
    a[0][row] = pairs[0];
    a[0][row + 2] = pairs[1];
  }
}

/// Operand B: four neighbours of a row of x, in the order that weights have; zeros beyond K.
template <int parts>
__device__ __forceinline__ void inputs(const Input* row, int k, int columns, uint32_t (&b)[parts][2]) {
  Vector<Input, 4> x = {};
  if (row != nullptr) {
    if (ALIGNED) {
      if (k < columns) x = *reinterpret_cast<const Vector<Input, 4>*>(row + k);
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (k + i < columns) x.at[i] = row[k + i];
      }
    }
  }
  constexpr int kSecond = kCodes ? 2 : 1;
  pair(x.at[0], x.at[kSecond], b, 0);
  pair(x.at[3 - kSecond], x.at[3], b, 1);
}

/// Rows 16 blockIdx.x of w, the part blockIdx.y of K, rows COLUMNS blockIdx.z of x. With `partial` [parts][m][n] the sums
/// go there; else out = alpha sum + beta residual.
extern "C" __global__ void __launch_bounds__(kWarps * kWarp, 2)
    gemm_rows(const Input* x, int64_t ldx, const uint8_t* w, int64_t row_bytes, const bf16* scales,
              const uint8_t* zeros, int blocks, int m, int n, int k, int span, float* partial, Output* out, int64_t ldo,
              float alpha, const Output* residual, int64_t ldr, float beta) {
  __shared__ float sums[kWarps][COLUMNS][kRows + 1];
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int first_row = blockIdx.x * kRows, first_column = blockIdx.z * COLUMNS;
  int end = min(k, int(blockIdx.y + 1) * span);
  const uint8_t* w_rows[2];
  const bf16* scale_rows[2];
  const uint8_t* zero_rows[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    int row = first_row + lane / 4 + i * 8;
    w_rows[i] = row < n ? w + row * row_bytes : nullptr;
    scale_rows[i] = kCodes && row < n ? scales + int64_t(row) * blocks : nullptr;
    zero_rows[i] = W == 3 && row < n ? zeros + int64_t(row) * blocks : nullptr;
  }
  const Input* x_rows[kTiles];
#pragma unroll
  for (int t = 0; t < kTiles; t++) {
    int row = first_column + t * 8 + lane / 4;
    x_rows[t] = row < m ? x + row * ldx : nullptr;
  }

  float sum[kTiles][4] = {};
  for (int turn = blockIdx.y * span + warp * kTurn; turn < end; turn += kWarps * kTurn) {
    uint32_t words[kAhead][2][kWords];
    float scale[kAhead][2];
    uint32_t offset[kAhead][2];
#pragma unroll
    for (int i = 0; i < kAhead; i++) {
#pragma unroll
      for (int j = 0; j < 2; j++) {
        int at = turn + i * kChunk;
        fetch(w_rows[j], at, k, words[i][j]);
        if constexpr (kCodes) {
          bool there = scale_rows[j] != nullptr && at < k;
          scale[i][j] = there ? widen(scale_rows[j][at / BLOCK]) : 0.0f;
          offset[i][j] = W == 3 ? offset_int4(there ? zero_rows[j][at / BLOCK] : 0) : 0;
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kAhead; i++) {
      float part[kTiles][4] = {};
#pragma unroll
      for (int quad = 0; quad < kQuads; quad++) {
        uint32_t a[kWeightParts][4];
        weights(words[i][0], quad, offset[i][0], 0, a);
        weights(words[i][1], quad, offset[i][1], 1, a);
        int at = turn + i * kChunk + quad_at(quad);
#pragma unroll
        for (int t = 0; t < kTiles; t++) {
          uint32_t b[kInputParts][2];
          inputs(x_rows[t], at, k, b);
          float(&to)[4] = kCodes ? part[t] : sum[t];
#pragma unroll
          for (int p = 0; p < kWeightParts; p++) {
#pragma unroll
            for (int q = 0; q < kInputParts && p + q < 3; q++) mma_bf16(to, a[p], b[q]);
          }
        }
      }
      if constexpr (kCodes) {
#pragma unroll
        for (int t = 0; t < kTiles; t++) {
#pragma unroll
          for (int j = 0; j < 4; j++) sum[t][j] = fmaf(scale[i][j / 2], part[t][j], sum[t][j]);
        }
      }
    }
  }
#pragma unroll
  for (int t = 0; t < kTiles; t++) {
#pragma unroll
    for (int j = 0; j < 4; j++) sums[warp][t * 8 + lane % 4 * 2 + j % 2][lane / 4 + j / 2 * 8] = sum[t][j];
  }
  __syncthreads();
  for (int unit = threadIdx.x; unit < COLUMNS * kRows; unit += kWarps * kWarp) {
    int column = unit / kRows, row = unit % kRows;
    int64_t to_row = first_column + column, to_column = first_row + row;
    if (to_row >= m || to_column >= n) continue;
    float all = 0;
#pragma unroll
    for (int i = 0; i < kWarps; i++) all += sums[i][column][row];
    if (partial != nullptr) {
      partial[(int64_t(blockIdx.y) * m + to_row) * n + to_column] = all;
    } else {
      all *= alpha;
      if (residual != nullptr) all = fmaf(beta, widen(residual[to_row * ldr + to_column]), all);
      out[to_row * ldo + to_column] = narrow<Output>(all);
    }
  }
}

// Products of experts with at most 16 tokens each: decode steps.
//
//   hidden[slot]  = silu(W1_e x[token]) * (W3_e x[token])      few_hidden
//   answers[slot] = W2_e hidden[slot]                          few_answers
//
// Bound by the bytes of the weights, each read once for all tokens of its expert. A block has 16 rows of one expert's
// matrices (of W1 and of W3 in few_hidden), its eight warps share K among them. A lane loads 16 bytes of each of its
// rows straight into the fragment that the tensor cores take, 16 weights' rows by 8 tokens a product, and has the bytes
// of the next round under way while it works: 8 KB a warp. Tokens come from the first-level cache, which the weights do
// not enter. The warps' sums meet in shared memory in a fixed order.
// Numerics: bf16 products, fp32 sums; hidden rows are rounded to bf16, answers are fp32.
// Constant: BITS.
#include "experts.cuh"

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kMost = 16;
constexpr int kRows = 16;
/// Steps of 64 bytes that a warp takes of each row in a round: as many as the registers hold twice.
constexpr int kSteps = BITS == 4 ? 1 : 2;

/// What a lane holds of one round: rows l / 4 and l / 4 + 8 of each matrix, 16 bytes of each step.
template <int matrices>
struct Round {
  uint32_t codes[kSteps][matrices][2][4];
  uint32_t scales[kSteps][matrices][2];

  __device__ __forceinline__ void load(const Weights (&w)[matrices], const Shape& shape, int row, int step) {
    int quad = threadIdx.x % 4;
#pragma unroll
    for (int s = 0; s < kSteps; s++) {
      int byte = (step + s) * 64 + quad * 16;
      bool inside = byte < shape.row_bytes();
#pragma unroll
      for (int m = 0; m < matrices; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          int at = row + half * 8;
          bool present = inside && at < shape.n;
#pragma unroll
          for (int i = 0; i < 4; i++) codes[s][m][half][i] = 0;
          scales[s][m][half] = 0;
          if (present) {
            load_once(codes[s][m][half], w[m].codes + int64_t(at) * shape.row_bytes() + byte);
            if (kQuantized) {
              int block = ((step + s) * kStep + quad * 8 * kChunks) >> shape.shift;
              int64_t place = int64_t(block) * shape.pitch() + at;
              scales[s][m][half] = w[m].scales[place] | (BITS == 4 ? uint32_t(w[m].zeros[place]) << 16 : 0);
            }
          }
        }
      }
    }
  }

  /// Run `run` of a step's weights of a row, as pairs of bf16.
  __device__ __forceinline__ void weights(int s, int m, int half, int run, uint32_t (&w)[4]) const {
    const uint32_t(&c)[4] = codes[s][m][half];
    if (kQuantized) {
      uint32_t both = scales[s][m][half];
      unpack(c[word_of(run)], c[word_of(run) + 1], run, twice(both & 0xffff), twice(both >> 16), w);
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) w[i] = c[i];
    }
  }
};

/// The sums of a block's rows (of each matrix) with the tokens of one expert, for thread 16 token + row.
template <int matrices>
__device__ __forceinline__ void products(const bf16* x, int64_t ldx, const int* sources, int first, int count,
                                         const Weights (&w)[matrices], const Shape& shape, float (&sums)[matrices]) {
  __shared__ float parts[kWarps][matrices][kMost][kRows + 1];
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, group = lane / 4, quad = lane % 4;
  int row = blockIdx.x * kRows + group;
  const bf16* tokens[2];
#pragma unroll
  for (int t = 0; t < 2; t++) {
    int slot = group + t * 8;
    int64_t from = slot < count ? (sources != nullptr ? sources[first + slot] : first + slot) : -1;
    tokens[t] = from < 0 ? nullptr : x + from * ldx;
  }
  float d[matrices][2][4] = {};
  int steps = (shape.row_bytes() + 63) / 64;
  Round<matrices> round, next;
  next.load(w, shape, row, warp * kSteps);
  for (int step = warp * kSteps; step < steps; step += kWarps * kSteps) {
    round = next;
    next.load(w, shape, row, step + kWarps * kSteps);
#pragma unroll
    for (int s = 0; s < kSteps; s++) {
#pragma unroll
      for (int run = 0; run < kChunks; run++) {
        int k = (step + s) * kStep + quad * 8 * kChunks + run * 8;
        uint4 b[2];
#pragma unroll
        for (int t = 0; t < 2; t++) {
          b[t] = make_uint4(0, 0, 0, 0);
          if (tokens[t] != nullptr && k < shape.k) b[t] = *reinterpret_cast<const uint4*>(tokens[t] + k);
        }
#pragma unroll
        for (int m = 0; m < matrices; m++) {
          uint32_t low[4], high[4];
          round.weights(s, m, 0, run, low);
          round.weights(s, m, 1, run, high);
#pragma unroll
          for (int t = 0; t < 2; t++) {
            if (t == 1 && count <= 8) continue;
            mma_bf16(d[m][t], {low[0], high[0], low[1], high[1]}, {b[t].x, b[t].y});
            mma_bf16(d[m][t], {low[2], high[2], low[3], high[3]}, {b[t].z, b[t].w});
          }
        }
      }
    }
  }
#pragma unroll
  for (int m = 0; m < matrices; m++) {
#pragma unroll
    for (int t = 0; t < 2; t++) {
#pragma unroll
      for (int i = 0; i < 4; i++) parts[warp][m][t * 8 + quad * 2 + i % 2][group + i / 2 * 8] = d[m][t][i];
    }
  }
  __syncthreads();
#pragma unroll
  for (int m = 0; m < matrices; m++) {
    sums[m] = 0;
#pragma unroll
    for (int p = 0; p < kWarps; p++) sums[m] += parts[p][m][threadIdx.x / kRows][threadIdx.x % kRows];
  }
}

/// Block (x, y): rows 16 x of the y-th expert that has 1 to 16 tokens. n = I, k = H.
extern "C" __global__ void __launch_bounds__(kThreads, 2)
    few_hidden(const bf16* x, int64_t ldx, const int* sources, const int* offsets, int experts, const uint8_t* gate,
               const uint16_t* gate_scales, const uint8_t* gate_zeros, const uint8_t* up, const uint16_t* up_scales,
               const uint8_t* up_zeros, int n, int k, int shift, bf16* hidden) {
  int piece = blockIdx.y;
  int expert = find_work(offsets, experts, 0, kMost, kMost, 1, piece);
  if (expert < 0) return;
  int first = offsets[expert], count = offsets[expert + 1] - first;
  Shape shape = {n, k, shift};
  Weights w[2] = {shape.of({gate, gate_scales, gate_zeros}, expert), shape.of({up, up_scales, up_zeros}, expert)};
  float sums[2];
  products(x, ldx, sources, first, count, w, shape, sums);
  int token = threadIdx.x / kRows, row = blockIdx.x * kRows + threadIdx.x % kRows;
  if (token < count && row < n) hidden[int64_t(first + token) * n + row] = narrow<bf16>(silu(sums[0]) * sums[1]);
}

/// Block (x, y): rows 16 x of the y-th expert that has 1 to 16 tokens. n = H, k = I.
extern "C" __global__ void __launch_bounds__(kThreads, 2)
    few_answers(const bf16* hidden, const int* offsets, int experts, const uint8_t* down, const uint16_t* scales,
                const uint8_t* zeros, int n, int k, int shift, float* answers) {
  int piece = blockIdx.y;
  int expert = find_work(offsets, experts, 0, kMost, kMost, 1, piece);
  if (expert < 0) return;
  int first = offsets[expert], count = offsets[expert + 1] - first;
  Shape shape = {n, k, shift};
  Weights w[1] = {shape.of({down, scales, zeros}, expert)};
  float sums[1];
  products(hidden, k, nullptr, first, count, w, shape, sums);
  int token = threadIdx.x / kRows, row = blockIdx.x * kRows + threadIdx.x % kRows;
  if (token < count && row < n) answers[int64_t(first + token) * n + row] = sums[0];
}

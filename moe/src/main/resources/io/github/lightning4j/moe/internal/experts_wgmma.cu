// Products of experts with more than 16 tokens and weights of bf16 by warp groups: what experts_tiled does, for Hopper
// alone (sm_90a).
//
//   hidden[slot]  = silu(W1_e x[token]) * (W3_e x[token])      wgmma_hidden
//   answers[slot] = W2_e hidden[slot]                          wgmma_answers
//
// A block of GROUPS warp groups makes 64 tokens a group by 256 weight rows: 128 of W1 and the same of W3, so that a thread holds
// the sums of both for the same tokens and rows and the gate is applied in registers. Tokens are gathered while they are
// copied, and groups without tokens do not multiply, so that those of an expert count by the started 64. Which block has
// which tile is as in experts_tiled.
// Numerics: bf16 products, fp32 sums; hidden rows are rounded to bf16, answers are fp32.
// Constants: BITS, 16; GROUPS; STAGES.
#include "experts_tiles.cuh"
#include "wgmma_tile_cuda.cuh"

constexpr int kRows = 256;
typedef GroupStage<kRows> Stage;

static_assert(STAGES * sizeof(Stage) >= kTileRows * kPitch<kRows> * sizeof(float), "the sums fit the ring");

/// Where the operands of a block come from: rows of x, one after another or gathered, and `matrices` of weights.
template <int matrices>
struct Operands {
  static constexpr int kEach = kRows / matrices;
  static constexpr int kUnits = kTileRows * 8 / kTileThreads;

  const bf16* x;
  const bf16* w[matrices];
  int64_t ldx;
  /// Weight rows from `column` on, and columns.
  int n, k;
  /// The rows of x that this thread copies 16 bytes a step of; -1 for none.
  int rows[kUnits];

  __device__ __forceinline__ Operands(const bf16* x, int64_t ldx, const int* sources, const Work& work,
                                      const Weights (&all)[matrices], const Shape& shape)
      : x(x), ldx(ldx), n(shape.n - work.column), k(shape.k) {
#pragma unroll
    for (int i = 0; i < matrices; i++) {
      w[i] = reinterpret_cast<const bf16*>(shape.of(all[i], work.expert).codes) + int64_t(work.column) * k;
    }
#pragma unroll
    for (int i = 0; i < kUnits; i++) {
      int row = (threadIdx.x + i * kTileThreads) / 8, slot = work.first + row;
      rows[i] = row >= work.count ? -1 : sources == nullptr ? slot : sources[slot];
    }
  }

  __device__ __forceinline__ void bring(Stage& to, int step) const {
    int at = step * kDepth;
#pragma unroll
    for (int i = 0; i < kUnits; i++) {
      int row = (threadIdx.x + i * kTileThreads) / 8, granule = threadIdx.x % 8;
      bool there = rows[i] >= 0 && at + granule * 8 < k;
      copy_async(&to.x[row][place(row, granule)], there ? x + rows[i] * ldx + at + granule * 8 : x, there);
    }
#pragma unroll
    for (int i = 0; i < matrices; i++) {
      bring_rows<kTileThreads>(reinterpret_cast<bf16(&)[kEach][kDepth]>(to.w[i * kEach]), w[i], k, n, at, k);
    }
  }
};

/// What becomes of the sums of a gate and of what it lets through.
struct Gated {
  const float (&d)[kRows / 2];

  __device__ __forceinline__ Vector<float, 2> operator()(int i) const {
    const float *gate = d + 2 * i, *up = gate + kRows / 4;
    return {silu(gate[0]) * up[0], silu(gate[1]) * up[1]};
  }
};

/// Writes a block's rows of `width` results to rows of `n`, four at a time.
template <int width, class T>
__device__ __forceinline__ void write_rows(const float* sums, const Work& work, int n, T* out) {
  for (int unit = threadIdx.x; unit < work.count * (width / 4); unit += kTileThreads) {
    int row = unit / (width / 4), column = unit % (width / 4) * 4;
    if (work.column + column >= n) continue;
    float four[4];
    load<float, 4>(sums + row * kPitch<width> + column, four);
    store(out + int64_t(work.first + row) * n + work.column + column, four);
  }
}

/// n = I, k = H, multiples of 8. Dynamic shared memory: STAGES * sizeof(Stage).
extern "C" __global__ void __launch_bounds__(kTileThreads, 1)
    wgmma_hidden(const bf16* x, int64_t ldx, const int* sources, const int* offsets, int experts, const uint8_t* gate,
                 const uint16_t* gate_scales, const uint8_t* gate_zeros, const uint8_t* up, const uint16_t* up_scales,
                 const uint8_t* up_zeros, int n, int k, int shift, bf16* hidden) {
  L4J_DYNAMIC_SHARED(memory);
  Work work;
  if (!find<kTileRows>(offsets, experts, (n + kRows / 2 - 1) / (kRows / 2), kRows / 2, work)) return;
  Weights w[2] = {{gate, gate_scales, gate_zeros}, {up, up_scales, up_zeros}};
  Operands<2> operands(x, ldx, sources, work, w, {n, k, shift});
  float d[kRows / 2];
  multiply_steps<STAGES>(reinterpret_cast<Stage*>(memory), operands, work.count, (k + kDepth - 1) / kDepth, d);
  float* sums = reinterpret_cast<float*>(memory);
  lay_out<kRows / 2>(sums, Gated{d});
  write_rows<kRows / 2>(sums, work, n, hidden);
}

/// n = H, k = I, multiples of 8. Dynamic shared memory: STAGES * sizeof(Stage).
extern "C" __global__ void __launch_bounds__(kTileThreads, 1)
    wgmma_answers(const bf16* hidden, const int* offsets, int experts, const uint8_t* down, const uint16_t* scales,
                  const uint8_t* zeros, int n, int k, int shift, float* answers) {
  L4J_DYNAMIC_SHARED(memory);
  Work work;
  if (!find<kTileRows>(offsets, experts, (n + kRows - 1) / kRows, kRows, work)) return;
  Weights w[1] = {{down, scales, zeros}};
  Operands<1> operands(hidden, k, nullptr, work, w, {n, k, shift});
  float d[kRows / 2];
  multiply_steps<STAGES>(reinterpret_cast<Stage*>(memory), operands, work.count, (k + kDepth - 1) / kDepth, d);
  float* sums = reinterpret_cast<float*>(memory);
  lay_out<kRows>(sums, Pairs<kRows>{d});
  write_rows<kRows>(sums, work, n, answers);
}

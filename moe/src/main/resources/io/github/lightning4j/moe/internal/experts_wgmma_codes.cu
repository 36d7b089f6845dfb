// Products of experts with more than 16 tokens and weights of 8 or 4 bits by warp groups: what experts_tiled does, for
// Hopper alone (sm_90a).
//
//   hidden[slot]  = silu(W1_e x[token]) * (W3_e x[token])      wgmma_hidden
//   answers[slot] = W2_e hidden[slot]                          wgmma_answers
//
// Weights are the left operand, which wgmma takes from registers: codes come to shared memory as they are, each thread
// reads those of its own places of the fragments, makes bf16 of them, and starts the products with 128 tokens in shared
// memory. So each weight is widened once for 128 tokens, while the products of the step before run; there are two sets
// of fragments for that, and the compiler wants all products waited for at the end of a step. A block of two warp groups makes 256 weight rows (128 of W1 and of W3, so that a thread has the sums
// of both for the same tokens and rows) by 128 tokens. Which block has which tile is as in experts_tiled.
// Numerics: weights rounded to bf16, bf16 products, fp32 sums; hidden rows are rounded to bf16, answers are fp32.
// Constants: BITS, 8 or 4; STAGES.
#include "experts_tiles.cuh"
#include "tile_cuda.cuh"
#include "wgmma_cuda.cuh"

constexpr int kTokens = 128, kThreads = 2 * kGroup, kRows = 256, kHalf = kRows / 2;
/// Codes of a row in a step, and from row to row: eight rows are in different banks.
constexpr int kRowBytes = kDepth * BITS / 8, kRowPitch = kRowBytes + 16;
constexpr int kBlocks = 2;
/// Floats between tokens of what is laid out at the end: lanes of a quad go to other banks.
constexpr int kPitch = kRows + 4;

struct alignas(1024) Stage {
  bf16 x[kTokens][kDepth];
  uint8_t codes[kRows][kRowPitch];
  uint16_t scales[kBlocks][kRows];
  uint8_t zeros[kBlocks][kRows];
};

union Shared {
  Stage ring[STAGES];
  float sums[kTokens][kPitch];
};

/// 16 columns of K of four steps, for both halves of the rows.
typedef uint32_t Fragments[2][kDepth / 16][4];

/// A block's operands. `w` are the matrices of the two halves of its weight rows, which start at `first` in them.
struct Operands {
  const bf16* x;
  int64_t ldx;
  Weights w[2];
  int first[2];
  Shape shape;
  /// The rows of x that this thread copies 16 bytes a step of; -1 for none.
  int rows[kTokens * 8 / kThreads];

  __device__ __forceinline__ void gather(const int* sources, const Work& work) {
#pragma unroll
    for (int i = 0; i < kTokens * 8 / kThreads; i++) {
      int row = (threadIdx.x + i * kThreads) / 8, slot = work.first + row;
      rows[i] = row >= work.count ? -1 : sources == nullptr ? slot : sources[slot];
    }
  }

  __device__ __forceinline__ void bring(Stage& to, int step) const {
#pragma unroll
    for (int i = 0; i < kTokens * 8 / kThreads; i++) {
      int row = (threadIdx.x + i * kThreads) / 8, granule = threadIdx.x % 8, at = step * kDepth + granule * 8;
      bool there = rows[i] >= 0 && at < shape.k;
      copy_async(&to.x[row][place(row, granule)], there ? x + rows[i] * ldx + at : x, there);
    }
    constexpr int kGranules = kRowBytes / 16;
    int bytes = shape.row_bytes();
    for (int unit = threadIdx.x; unit < kRows * kGranules; unit += kThreads) {
      int row = unit / kGranules, granule = unit % kGranules, half = row / kHalf;
      int own = (half == 0 ? first[0] : first[1]) + row % kHalf, byte = step * kRowBytes + granule * 16;
      bool there = own < shape.n && byte < bytes;
      const uint8_t* codes = half == 0 ? w[0].codes : w[1].codes;
      copy_async(&to.codes[row][granule * 16], codes + (there ? int64_t(own) * bytes + byte : 0), there);
    }
    int block = step * kDepth >> shape.shift, blocks = max(1, kDepth >> shape.shift);
    if (int(threadIdx.x) < blocks * kRows / 8) {
      int b = threadIdx.x / (kRows / 8), row = threadIdx.x % (kRows / 8) * 8, half = row / kHalf;
      int own = (half == 0 ? first[0] : first[1]) + row % kHalf;
      bool there = own < shape.pitch() && block + b < shape.blocks();
      int64_t from = there ? int64_t(block + b) * shape.pitch() + own : 0;
      copy_async(&to.scales[b][row], (half == 0 ? w[0].scales : w[1].scales) + from, there);
      if (BITS == 4 && row % 16 == 0) {
        copy_async(&to.zeros[b][row], (half == 0 ? w[0].zeros : w[1].zeros) + from, there);
      }
    }
  }

  /// This thread's fragments of a stage's weights.
  __device__ __forceinline__ void widen_codes(const Stage& stage, Fragments& a) const {
    int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
      for (int below = 0; below < 2; below++) {
        int row = half * kHalf + warp * 16 + lane / 4 + below * 8;
#pragma unroll
        for (int part = 0; part < kRowBytes / 16; part++) {
          const uint8_t* from = &stage.codes[row][part * 16 + lane % 4 * 2];
          uint32_t word = *reinterpret_cast<const uint16_t*>(from);
          word |= uint32_t(*reinterpret_cast<const uint16_t*>(from + 8)) << 16;
          int block = part * (128 / BITS) >> shape.shift;
          uint32_t scale = twice(stage.scales[block][row]), zero = BITS == 4 ? twice(stage.zeros[block][row]) : 0;
#pragma unroll
          for (int high = 0; high < 8 / BITS; high++) {
            uint32_t pairs[2];
            unpack(word, high, scale, zero, pairs);
            uint32_t(&to)[4] = a[half][part * (8 / BITS) + high];
            to[below] = pairs[0], to[2 + below] = pairs[1];
          }
        }
      }
    }
  }
};

/// What is copied for `step` has come for all threads, which make fragments of it.
__device__ __forceinline__ void prepare(const Stage* ring, const Operands& operands, int step, Fragments& a) {
  wait_copies<STAGES - 3>();
  fence_tiles();
  __syncthreads();
  operands.widen_codes(ring[step % STAGES], a);
#pragma unroll
  for (int i = 0; i < 2 * kDepth / 16; i++) settle(a[i % 2][i / 2]);
}

/// One step: its products run while the fragments of the next are made and the copies of a later one begin.
__device__ __forceinline__ void take_step(Stage* ring, const Operands& operands, int step, int steps,
                                          const Fragments& a, Fragments& next, float (&d)[2][64]) {
  const Stage& stage = ring[step % STAGES];
  fence_products();
#pragma unroll
  for (int i = 0; i < kDepth / 16; i++) {
#pragma unroll
    for (int half = 0; half < 2; half++) multiply_registers(d[half], a[half][i], describe(stage.x[0] + i * 16));
  }
  commit_products();
  int ahead = step + STAGES - 2;
  if (ahead < steps) operands.bring(ring[ahead % STAGES], ahead);
  commit_copies();
  prepare(ring, operands, step + 1, next);
  wait_products<0>();
}

/// The sums of a block: of weight row half * 128 + t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8 and token i / 4 * 8 +
/// t % 4 * 2 + i % 2 thread t has d[half][i].
__device__ __forceinline__ void products(Shared& shared, const Operands& operands, float (&d)[2][64]) {
  int steps = (operands.shape.padded() + kDepth - 1) / kDepth;
#pragma unroll
  for (int step = 0; step < STAGES - 2; step++) {
    if (step < steps) operands.bring(shared.ring[step], step);
    commit_copies();
  }
  Fragments even, odd;
  prepare(shared.ring, operands, 0, even);
  for (int step = 0; step < steps; step += 2) {
    take_step(shared.ring, operands, step, steps, even, odd, d);
    if (step + 1 < steps) take_step(shared.ring, operands, step + 1, steps, odd, even, d);
  }
  settle(d[0]);
  settle(d[1]);
  __syncthreads();
}

/// Where value i of this thread lies among those of half of the rows.
__device__ __forceinline__ float& home(Shared& shared, int half, int i) {
  int row = half * kHalf + threadIdx.x / kWarp * 16 + threadIdx.x % kWarp / 4 + i / 2 % 2 * 8;
  return shared.sums[i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2][row];
}

/// Writes a block's `width` results of each token to rows of `n`, four at a time.
template <int width, class T>
__device__ __forceinline__ void write_rows(const Shared& shared, const Work& work, int n, T* out) {
  __syncthreads();
  for (int unit = threadIdx.x; unit < work.count * (width / 4); unit += kThreads) {
    int row = unit / (width / 4), column = unit % (width / 4) * 4;
    if (work.column + column >= n) continue;
    float four[4];
    load<float, 4>(&shared.sums[row][column], four);
    store(out + int64_t(work.first + row) * n + work.column + column, four);
  }
}

/// n = I, k = H, multiples of 8. Dynamic shared memory: sizeof(Shared).
extern "C" __global__ void __launch_bounds__(kThreads, 1)
    wgmma_hidden(const bf16* x, int64_t ldx, const int* sources, const int* offsets, int experts, const uint8_t* gate,
                 const uint16_t* gate_scales, const uint8_t* gate_zeros, const uint8_t* up, const uint16_t* up_scales,
                 const uint8_t* up_zeros, int n, int k, int shift, bf16* hidden) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  Work work;
  if (!find<kTokens>(offsets, experts, (n + kHalf - 1) / kHalf, kHalf, work)) return;
  Shape shape = {n, k, shift};
  Operands operands = {x, ldx, {}, {work.column, work.column}, shape};
  operands.w[0] = shape.of({gate, gate_scales, gate_zeros}, work.expert);
  operands.w[1] = shape.of({up, up_scales, up_zeros}, work.expert);
  operands.gather(sources, work);
  float d[2][64] = {};
  products(shared, operands, d);
#pragma unroll
  for (int i = 0; i < 64; i++) home(shared, 0, i) = silu(d[0][i]) * d[1][i];
  write_rows<kHalf>(shared, work, n, hidden);
}

/// n = H, k = I, multiples of 8. Dynamic shared memory: sizeof(Shared).
extern "C" __global__ void __launch_bounds__(kThreads, 1)
    wgmma_answers(const bf16* hidden, const int* offsets, int experts, const uint8_t* down, const uint16_t* scales,
                  const uint8_t* zeros, int n, int k, int shift, float* answers) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  Work work;
  if (!find<kTokens>(offsets, experts, (n + kRows - 1) / kRows, kRows, work)) return;
  Shape shape = {n, k, shift};
  Operands operands = {hidden, k, {}, {work.column, work.column + kHalf}, shape};
  operands.w[0] = operands.w[1] = shape.of({down, scales, zeros}, work.expert);
  operands.gather(nullptr, work);
  float d[2][64] = {};
  products(shared, operands, d);
#pragma unroll
  for (int i = 0; i < 64; i++) home(shared, 0, i) = d[0][i], home(shared, 1, i) = d[1][i];
  write_rows<kRows>(shared, work, n, answers);
}

// Lightning attention by chunks of 64 tokens on tensor cores, for prompts in bf16.
//
//   O  = ((Q K^T) o D) V + diag(lambda^(i+1)) Q S,   D_ij = lambda^(i-j) for i >= j
//   S' = lambda^m S + K^T diag(lambda^(m-1-i)) V     over the m tokens of a chunk
//
// Every factor is at most 1, so nothing overflows however fast a head forgets. A block of four warps has one sequence,
// one head and COLUMNS of the DV columns; it goes through the chunks in order with the state in registers.
//
// Numerics: scores with their decay and results of SiLU are rounded to bf16; sums and states are fp32. Where the state
// and the decayed values enter a product they go in two parts, bf16 and the bf16 of what that leaves, so that what is
// kept from chunk to chunk has 16 bits of precision and not 8.
// Constants: O the code of the output type; DK and COLUMNS, multiples of 16; DV; SILU.
#include "lightning_chunk.cuh"

typedef ElementOf<O>::type Output;

constexpr int kStateTiles = state_tiles(DK);
constexpr int kColumnTiles = COLUMNS / 8;

struct Shared {
  bf16 q[kChunk][DK + kPad];
  bf16 k[kChunk][DK + kPad];
  bf16 v[kChunk][COLUMNS + kPad];
  bf16 decayed[2][kChunk][COLUMNS + kPad];
  bf16 state[2][DK][COLUMNS + kPad];
  float decay[kChunk + 1];
};

/// Brings the m rows of a chunk to shared memory, zeros behind them.
template <int width, int pitch>
__device__ __forceinline__ void bring(bf16 (&to)[kChunk][pitch], const bf16* from, int64_t token, int m) {
  constexpr int kVectors = width / 8;
  for (int unit = threadIdx.x; unit < kChunk * kVectors; unit += kThreads) {
    int row = unit / kVectors, column = unit % kVectors * 8;
    float x[8] = {};
    if (row < m) load(from + row * token + column, x);
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = SILU ? silu(x[i]) : x[i];
    store(&to[row][column], x);
  }
}

/// As lightning_recurrent; q, k, v start at multiples of 16 bytes, and so do their tokens and heads.
extern "C" __global__ void __launch_bounds__(kThreads)
    lightning_chunks(const bf16* q, int64_t q_row, int64_t q_token, int64_t q_head, const bf16* k, int64_t k_row,
                     int64_t k_token, int64_t k_head, const bf16* v, int64_t v_row, int64_t v_token, int64_t v_head,
                     Output* out, int64_t o_row, int64_t o_token, int64_t o_head, const float* log_decay, float scale,
                     float* states, const int* slots, const int* offsets, int tokens) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  int first_column = blockIdx.x * COLUMNS, head = blockIdx.y, row = blockIdx.z;
  int first_token = offsets != nullptr ? offsets[row] : 0;
  int count = offsets != nullptr ? offsets[row + 1] - first_token : tokens;
  int64_t from = offsets != nullptr ? 0 : row;
  int slot = slots != nullptr ? slots[row] : row;
  Output* to = out + from * o_row + first_token * o_token + head * o_head + first_column;
  if (slot < 0) {
    for (int64_t i = threadIdx.x; i < int64_t(count) * COLUMNS; i += kThreads) {
      to[i / COLUMNS * o_token + i % COLUMNS] = narrow<Output>(0.0f);
    }
    return;
  }
  q += from * q_row + first_token * q_token + head * q_head;
  k += from * k_row + first_token * k_token + head * k_head;
  v += from * v_row + first_token * v_token + head * v_head + first_column;
  float* state = states + (int64_t(slot) * gridDim.y + head) * DK * DV + first_column;
  if (threadIdx.x <= kChunk) shared.decay[threadIdx.x] = expf(log_decay[head] * float(threadIdx.x));

  float s[kStateTiles][kColumnTiles][4] = {};
  for_state<DK>(s, [&](int d, int column, float& x, float& y) {
    x = state[int64_t(d) * DV + column];
    y = state[int64_t(d) * DV + column + 1];
  });
  for (int t = 0; t < count; t += kChunk) {
    int m = min(kChunk, count - t);
    // Nobody reads the chunk before any more.
    __syncthreads();
    bring<DK>(shared.q, q + t * q_token, q_token, m);
    bring<DK>(shared.k, k + t * k_token, k_token, m);
    bring<COLUMNS>(shared.v, v + t * v_token, v_token, m);
    for_state<DK>(s, [&](int d, int column, float x, float y) {
      split(x, shared.state[0][d][column], shared.state[1][d][column]);
      split(y, shared.state[0][d][column + 1], shared.state[1][d][column + 1]);
    });
    __syncthreads();
    for (int unit = threadIdx.x; unit < kChunk * COLUMNS; unit += kThreads) {
      int i = unit / COLUMNS, column = unit % COLUMNS;
      float value = i < m ? widen(shared.v[i][column]) * shared.decay[m - 1 - i] : 0.0f;
      split(value, shared.decayed[0][i][column], shared.decayed[1][i][column]);
    }
    float o[kColumnTiles][4];
    outputs_of_state<DK, 2>(shared, 1, 1.0f, o);
    add_outputs_of_chunk<DK>(shared, 1.0f, o);
    for_outputs(o, [&](int at, int column, float x, float y) {
      if (at >= m) return;
      Output* there = to + (t + at) * o_token + column;
      there[0] = narrow<Output>(scale * x);
      there[1] = narrow<Output>(scale * y);
    });
    __syncthreads();
    advance<DK>(shared, 2, expm1f(log_decay[head] * float(m)), s);
  }
  for_state<DK>(s, [&](int d, int column, float x, float y) {
    state[int64_t(d) * DV + column] = x;
    state[int64_t(d) * DV + column + 1] = y;
  });
}

// Lightning attention by chunks of 64 tokens on tensor cores, for prompts in bf16.
//
//   O  = ((Q K^T) o D) V + diag(lambda^(i+1)) Q S,   D_ij = lambda^(i-j) for i >= j
//   S' = lambda^m S + K^T diag(lambda^(m-1-i)) V     over the m tokens of a chunk
//
// Every factor is at most 1, so nothing overflows however fast a head forgets. A block of four warps has one sequence,
// one head and COLUMNS of the DV columns; it goes through the chunks in order with the state in registers. In a chunk
// warp w makes the outputs of tokens 16 w to 16 w + 15 and the rows 16 w, 16 (w + 4), ... of the state.
//
// Numerics: scores with their decay and results of SiLU are rounded to bf16; sums and states are fp32. Where the state
// and the decayed values enter a product they go in two parts, bf16 and the bf16 of what that leaves, so that what is
// kept from chunk to chunk has 16 bits of precision and not 8.
// Constants: O the code of the output type; DK and COLUMNS, multiples of 16; DV; SILU.
#include "core_cuda.cuh"

typedef ElementOf<O>::type Output;

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kChunk = 64;
// Rows of shared memory are 16 bytes longer than they hold, which puts neighbours into other banks.
constexpr int kKeyPitch = DK + 8;
constexpr int kValuePitch = COLUMNS + 8;
constexpr int kStateTiles = (DK / 16 + kWarps - 1) / kWarps;
constexpr int kColumnTiles = COLUMNS / 8;

struct Shared {
  bf16 q[kChunk][kKeyPitch];
  bf16 k[kChunk][kKeyPitch];
  bf16 v[kChunk][kValuePitch];
  bf16 decayed[2][kChunk][kValuePitch];
  bf16 state[2][DK][kValuePitch];
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

__device__ __forceinline__ void split(float x, bf16& high, bf16& low) {
  high = narrow<bf16>(x);
  low = narrow<bf16>(x - widen(high));
}

/// The outputs of a warp's 16 tokens.
__device__ __forceinline__ void outputs(const Shared& shared, float (&o)[kColumnTiles][4]) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int row = warp * 16 + lane / 4;
#pragma unroll
  for (int n = 0; n < kColumnTiles; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) o[n][i] = 0;
  }
  // What came before the chunk: Q S, then the decay of each row.
  for (int d = 0; d < DK; d += 16) {
    uint32_t a[4];
    load_matrices(a, &shared.q[warp * 16 + lane % 16][d + lane / 16 * 8]);
#pragma unroll
    for (int n = 0; n < kColumnTiles; n += 2) {
#pragma unroll
      for (int part = 0; part < 2; part++) {
        uint32_t b[4];
        load_matrices_transposed(b, &shared.state[part][d + lane % 16][n * 8 + lane / 16 * 8]);
        mma_bf16(o[n], a, {b[0], b[1]});
        mma_bf16(o[n + 1], a, {b[2], b[3]});
      }
    }
  }
#pragma unroll
  for (int n = 0; n < kColumnTiles; n++) {
#pragma unroll
    for (int i = 0; i < 4; i++) o[n][i] *= shared.decay[row + i / 2 * 8 + 1];
  }
  // The chunk itself, 16 keys at a time, none of them later than the warp's tokens.
  for (int block = 0; block <= warp; block++) {
    float scores[2][4] = {};
    for (int d = 0; d < DK; d += 16) {
      uint32_t a[4], b[4];
      load_matrices(a, &shared.q[warp * 16 + lane % 16][d + lane / 16 * 8]);
      load_matrices(b, &shared.k[block * 16 + lane % 8 + lane / 16 * 8][d + lane / 8 % 2 * 8]);
      mma_bf16(scores[0], a, {b[0], b[1]});
      mma_bf16(scores[1], a, {b[2], b[3]});
    }
#pragma unroll
    for (int n = 0; n < 2; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int apart = row + i / 2 * 8 - (block * 16 + n * 8 + lane % 4 * 2 + i % 2);
        scores[n][i] = apart >= 0 ? scores[n][i] * shared.decay[apart] : 0.0f;
      }
    }
    uint32_t p[4] = {pack_bf16(scores[0][0], scores[0][1]), pack_bf16(scores[0][2], scores[0][3]),
                     pack_bf16(scores[1][0], scores[1][1]), pack_bf16(scores[1][2], scores[1][3])};
#pragma unroll
    for (int n = 0; n < kColumnTiles; n += 2) {
      uint32_t b[4];
      load_matrices_transposed(b, &shared.v[block * 16 + lane % 16][n * 8 + lane / 16 * 8]);
      mma_bf16(o[n], p, {b[0], b[1]});
      mma_bf16(o[n + 1], p, {b[2], b[3]});
    }
  }
}

/// Moves a warp's rows of the state on by a chunk; loss is lambda^m - 1, which has more digits than lambda^m.
__device__ __forceinline__ void advance(const Shared& shared, float loss, float (&s)[kStateTiles][kColumnTiles][4]) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int tile = 0; tile < kStateTiles; tile++) {
    int d = (tile * kWarps + warp) * 16;
    if (d >= DK) continue;
#pragma unroll
    for (int n = 0; n < kColumnTiles; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) s[tile][n][i] = fmaf(s[tile][n][i], loss, s[tile][n][i]);
    }
    for (int t = 0; t < kChunk; t += 16) {
      uint32_t a[4];
      load_matrices_transposed(a, &shared.k[t + lane % 8 + lane / 16 * 8][d + lane / 8 % 2 * 8]);
#pragma unroll
      for (int n = 0; n < kColumnTiles; n += 2) {
#pragma unroll
        for (int part = 0; part < 2; part++) {
          uint32_t b[4];
          load_matrices_transposed(b, &shared.decayed[part][t + lane % 16][n * 8 + lane / 16 * 8]);
          mma_bf16(s[tile][n], a, {b[0], b[1]});
          mma_bf16(s[tile][n + 1], a, {b[2], b[3]});
        }
      }
    }
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
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
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
  float* state = states + (int64_t(slot) * gridDim.y + head) * DK * DV + first_column + lane % 4 * 2;
  if (threadIdx.x <= kChunk) shared.decay[threadIdx.x] = expf(log_decay[head] * float(threadIdx.x));

  float s[kStateTiles][kColumnTiles][4];
#pragma unroll
  for (int tile = 0; tile < kStateTiles; tile++) {
    int d = (tile * kWarps + warp) * 16 + lane / 4;
#pragma unroll
    for (int n = 0; n < kColumnTiles; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        s[tile][n][i] = d < DK ? state[int64_t(d + i / 2 * 8) * DV + n * 8 + i % 2] : 0.0f;
      }
    }
  }
  for (int t = 0; t < count; t += kChunk) {
    int m = min(kChunk, count - t);
    // Nobody reads the chunk before any more.
    __syncthreads();
    bring<DK>(shared.q, q + t * q_token, q_token, m);
    bring<DK>(shared.k, k + t * k_token, k_token, m);
    bring<COLUMNS>(shared.v, v + t * v_token, v_token, m);
#pragma unroll
    for (int tile = 0; tile < kStateTiles; tile++) {
      int d = (tile * kWarps + warp) * 16 + lane / 4;
      if (d >= DK) continue;
#pragma unroll
      for (int n = 0; n < kColumnTiles; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int at = d + i / 2 * 8, column = n * 8 + lane % 4 * 2 + i % 2;
          split(s[tile][n][i], shared.state[0][at][column], shared.state[1][at][column]);
        }
      }
    }
    __syncthreads();
    for (int unit = threadIdx.x; unit < kChunk * COLUMNS; unit += kThreads) {
      int i = unit / COLUMNS, column = unit % COLUMNS;
      float value = i < m ? widen(shared.v[i][column]) * shared.decay[m - 1 - i] : 0.0f;
      split(value, shared.decayed[0][i][column], shared.decayed[1][i][column]);
    }
    float o[kColumnTiles][4];
    outputs(shared, o);
#pragma unroll
    for (int n = 0; n < kColumnTiles; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int at = warp * 16 + lane / 4 + i / 2 * 8;
        if (at < m) to[(t + at) * o_token + n * 8 + lane % 4 * 2 + i % 2] = narrow<Output>(scale * o[n][i]);
      }
    }
    __syncthreads();
    advance(shared, expm1f(log_decay[head] * float(m)), s);
  }
#pragma unroll
  for (int tile = 0; tile < kStateTiles; tile++) {
    int d = (tile * kWarps + warp) * 16 + lane / 4;
    if (d >= DK) continue;
#pragma unroll
    for (int n = 0; n < kColumnTiles; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) state[int64_t(d + i / 2 * 8) * DV + n * 8 + i % 2] = s[tile][n][i];
    }
  }
}

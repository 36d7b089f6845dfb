// Lightning attention token by token, in fp32: decode steps of many rows, and what the kernel by chunks does not take.
//
//   S = lambda S + k^T v;  o = scale q S         S [DK, DV] fp32, one a row and head
//
// Bound by memory: a decode step reads and writes each state once. A block has one row, one head and COLUMNS of the DV
// columns, which do not depend on one another, so that few rows fill a GPU too. A thread keeps VECTOR columns of every
// 16th row of the state in registers, and loads all of them before it uses the first; sums over rows go through
// shuffles and shared memory in the same order always. For several tokens the state stays in registers.
// Constants: X, O the codes of the types of q, k, v and of the outputs; DK, DV; VECTOR, 4 where DV is a multiple, or 1;
// SILU, whether q, k, v stand for their SiLU.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Input;
typedef ElementOf<O>::type Output;

constexpr int kThreads = 128;
constexpr int kLanesARow = 8;
constexpr int kColumns = kLanesARow * VECTOR;
constexpr int kRowsAtOnce = kThreads / kLanesARow;
constexpr int kRows = (DK + kRowsAtOnce - 1) / kRowsAtOnce;
constexpr int kWarps = kThreads / kWarp;

__device__ __forceinline__ float read(const Input* at) { return SILU ? silu(widen(*at)) : widen(*at); }

/// q, k, v, out are addressed by row (of B), token and head; a row's tokens are those of offsets where there are any.
/// Row b works on state slots[b] (b where there are no slots); -1 skips it and makes its outputs zero.
extern "C" __global__ void __launch_bounds__(kThreads)
    lightning_recurrent(const Input* q, int64_t q_row, int64_t q_token, int64_t q_head, const Input* k, int64_t k_row,
                        int64_t k_token, int64_t k_head, const Input* v, int64_t v_row, int64_t v_token,
                        int64_t v_head, Output* out, int64_t o_row, int64_t o_token, int64_t o_head,
                        const float* log_decay, float scale, float* states, const int* slots, const int* offsets,
                        int tokens) {
  __shared__ float queries[DK], keys[DK];
  __shared__ float parts[kWarps][kColumns];
  int head = blockIdx.y, row = blockIdx.z, thread = threadIdx.x;
  int first_token = offsets != nullptr ? offsets[row] : 0;
  int count = offsets != nullptr ? offsets[row + 1] - first_token : tokens;
  int64_t from = offsets != nullptr ? 0 : row;
  int lane = thread % kLanesARow, first_row = thread / kLanesARow;
  int column = blockIdx.x * kColumns + lane * VECTOR;
  bool inside = column < DV;
  int slot = slots != nullptr ? slots[row] : row;
  // lambda - 1, which has more digits than lambda: a slow head multiplies by it 20,000 times before it forgets.
  float loss = expm1f(log_decay[head]);
  float* state = states + (int64_t(slot < 0 ? 0 : slot) * gridDim.y + head) * DK * DV + column;

  float s[kRows][VECTOR];
#pragma unroll
  for (int i = 0; i < kRows; i++) {
    int d = first_row + i * kRowsAtOnce;
    if (slot >= 0 && inside && d < DK) {
      load(state + int64_t(d) * DV, s[i]);
    } else {
#pragma unroll
      for (int j = 0; j < VECTOR; j++) s[i][j] = 0;
    }
  }
  for (int t = first_token; t < first_token + count; t++) {
    for (int d = thread; d < DK; d += kThreads) {
      queries[d] = slot < 0 ? 0.0f : scale * read(q + from * q_row + t * q_token + head * q_head + d);
      keys[d] = slot < 0 ? 0.0f : read(k + from * k_row + t * k_token + head * k_head + d);
    }
    float value[VECTOR], sum[VECTOR];
#pragma unroll
    for (int j = 0; j < VECTOR; j++) {
      value[j] = slot >= 0 && inside ? read(v + from * v_row + t * v_token + head * v_head + column + j) : 0.0f;
      sum[j] = 0;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      int d = first_row + i * kRowsAtOnce;
      if (d < DK) {
#pragma unroll
        for (int j = 0; j < VECTOR; j++) {
          s[i][j] = fmaf(s[i][j], loss, s[i][j]) + keys[d] * value[j];
          sum[j] += queries[d] * s[i][j];
        }
      }
    }
#pragma unroll
    for (int j = 0; j < VECTOR; j++) {
#pragma unroll
      for (int flip = kLanesARow; flip < kWarp; flip *= 2) sum[j] += __shfl_xor_sync(kAllLanes, sum[j], flip);
      if (thread % kWarp < kLanesARow) parts[thread / kWarp][lane * VECTOR + j] = sum[j];
    }
    __syncthreads();
    int own = blockIdx.x * kColumns + thread;
    if (thread < kColumns && own < DV) {
      float o = 0;
#pragma unroll
      for (int w = 0; w < kWarps; w++) o += parts[w][thread];
      out[from * o_row + t * o_token + head * o_head + own] = narrow<Output>(o);
    }
    // The next token's queries are written while others may still read parts, and these are written after the barrier
    // that comes before.
  }
  if (slot >= 0 && inside) {
#pragma unroll
    for (int i = 0; i < kRows; i++) {
      int d = first_row + i * kRowsAtOnce;
      if (d < DK) store(state + int64_t(d) * DV, s[i]);
    }
  }
}

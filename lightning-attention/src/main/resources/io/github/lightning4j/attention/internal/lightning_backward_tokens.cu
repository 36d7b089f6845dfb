// Gradients of lightning attention token by token, in fp32: what the kernel by chunks does not take.
//
// As lightning_backward.cu says, each gradient is a forward pass over other operands, which are called q, k, v here:
//
//   S = lambda S + k^T v;  out = q S              in order, for the gradient of the queries
//   S = S + k^T v;  out = q S;  S = lambda S      in reversed time, for those of keys and values
//
// A launch makes one gradient. A block has one sequence, one head and some columns of the state, which a thread keeps in
// registers as in lightning_recurrent.cu; sums over rows go through shuffles and shared memory in the same order always.
// The gradient of log(lambda) is, with chunks of 64 tokens, R the adjoint of the state S that leaves a chunk,
//
//   sum_i (i+1) q_i . dq_i - sum_j (j+1) k_j . dk_j + m <R, S>     summed over chunks
//
// for which the pass for the queries leaves these states in memory, and that for the keys reads them.
// Constants: Q, K, V, X the codes of the types of the operands and of what the gradient is of, O of the gradient; KEYS,
// VALUES; VECTOR, 4 where VALUES is a multiple, or 1; REVERSED; TRANSPOSED, whether states in memory are
// [VALUES, KEYS]; SILU_Q, SILU_K, SILU_V, SILU_X; LAG, whether there are parts of the gradient of log(lambda).
#include "core_cuda.cuh"

typedef ElementOf<O>::type Output;

constexpr int kThreads = 128;
constexpr int kChunk = 64;
constexpr int kLanesARow = 8;
constexpr int kColumns = kLanesARow * VECTOR;
constexpr int kRowsAtOnce = kThreads / kLanesARow;
constexpr int kRows = (KEYS + kRowsAtOnce - 1) / kRowsAtOnce;
constexpr int kWarps = kThreads / kWarp;

template <bool through_silu, class T>
__device__ __forceinline__ float read(const T* at) {
  return through_silu ? silu(widen(*at)) : widen(*at);
}

/// Where element (d, column) of a state in memory lies.
__device__ __forceinline__ int64_t place(int d, int column) {
  return TRANSPOSED ? int64_t(column) * KEYS + d : int64_t(d) * VALUES + column;
}

/// Calls f(d, column, element) for each element of the state that a thread has.
template <class F>
__device__ __forceinline__ void for_state(float (&s)[kRows][VECTOR], F f) {
  int column = blockIdx.x * kColumns + threadIdx.x % kLanesARow * VECTOR;
#pragma unroll
  for (int i = 0; i < kRows; i++) {
    int d = threadIdx.x / kLanesARow + i * kRowsAtOnce;
    if (column >= VALUES || d >= KEYS) continue;
#pragma unroll
    for (int j = 0; j < VECTOR; j++) f(d, column + j, s[i][j]);
  }
}

/// Block (x, y, z): columns from x * kColumns, head y, sequence z. first: the state to start with, or null for zeros; last,
/// where the one behind goes, or null; out may be null. kept, lags: as for lightning_backward, lags of this launch alone.
extern "C" __global__ void __launch_bounds__(kThreads)
    lightning_backward_tokens(const ElementOf<Q>::type* q, int64_t q_row, int64_t q_token, int64_t q_head,
                              const ElementOf<K>::type* k, int64_t k_row, int64_t k_token, int64_t k_head,
                              const ElementOf<V>::type* v, int64_t v_row, int64_t v_token, int64_t v_head,
                              const ElementOf<X>::type* x, int64_t x_row, int64_t x_token, int64_t x_head, Output* out,
                              int64_t o_row, int64_t o_token, int64_t o_head, const float* first, float* last,
                              const float* log_decay, float scale, const int* offsets, int tokens, float* kept,
                              float* lags) {
  __shared__ float queries[KEYS], keys[KEYS];
  __shared__ float parts[kWarps][kColumns];
  __shared__ float sums[kWarp];
  int head = blockIdx.y, row = blockIdx.z, thread = threadIdx.x;
  int64_t heads = gridDim.y;
  int first_token = offsets != nullptr ? offsets[row] : 0;
  int count = offsets != nullptr ? offsets[row + 1] - first_token : tokens;
  int64_t from = offsets != nullptr ? 0 : row;
  int lane = thread % kLanesARow, first_row = thread / kLanesARow;
  int column = blockIdx.x * kColumns + lane * VECTOR;
  bool inside = column < VALUES;
  float loss = expm1f(log_decay[head]);
  int64_t state = (row * heads + head) * KEYS * VALUES;
  q += from * q_row + head * q_head;
  k += from * k_row + head * k_head;
  v += from * v_row + head * v_head;
  x += from * x_row + head * x_head;
  bool wanted = out != nullptr;
  if (wanted) out += from * o_row + head * o_head;
  int64_t chunks_before = offsets != nullptr ? first_token / kChunk + row : from * ((tokens + kChunk - 1) / kChunk);
  float lag = 0;

  float s[kRows][VECTOR] = {};
  // The state behind a chunk, kept, or paired with what was kept.
  auto pair_states = [&](int chunk, int m) {
    float* at = kept + ((chunks_before + chunk) * heads + head) * KEYS * VALUES;
    for_state(s, [&](int d, int c, float& value) {
      if (REVERSED) {
        lag += float(m) * at[int64_t(d) * VALUES + c] * value;
      } else {
        at[int64_t(d) * VALUES + c] = value;
      }
    });
  };
  if (first != nullptr) for_state(s, [&](int d, int c, float& value) { value = first[state + place(d, c)]; });
  for (int i = 0; i < count; i++) {
    int local = REVERSED ? count - 1 - i : i;
    int64_t t = first_token + local;
    bool chunk_ends = local % kChunk == kChunk - 1 || local == count - 1;
    if (LAG && REVERSED && chunk_ends) pair_states(local / kChunk, local % kChunk + 1);
    for (int d = thread; d < KEYS; d += kThreads) {
      queries[d] = (REVERSED ? 1.0f : scale) * read<SILU_Q>(q + t * q_token + d);
      keys[d] = (REVERSED ? scale : 1.0f) * read<SILU_K>(k + t * k_token + d);
    }
    float value[VECTOR], sum[VECTOR];
#pragma unroll
    for (int j = 0; j < VECTOR; j++) {
      value[j] = inside ? read<SILU_V>(v + t * v_token + column + j) : 0.0f;
      sum[j] = 0;
    }
    __syncthreads();
#pragma unroll
    for (int n = 0; n < kRows; n++) {
      int d = first_row + n * kRowsAtOnce;
      if (d >= KEYS) continue;
#pragma unroll
      for (int j = 0; j < VECTOR; j++) {
        if (!REVERSED) s[n][j] = fmaf(s[n][j], loss, s[n][j]);
        s[n][j] += keys[d] * value[j];
        sum[j] += queries[d] * s[n][j];
        if (REVERSED) s[n][j] = fmaf(s[n][j], loss, s[n][j]);
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
    if (thread < kColumns && own < VALUES) {
      float gradient = 0;
#pragma unroll
      for (int w = 0; w < kWarps; w++) gradient += parts[w][thread];
      float raw = widen(x[t * x_token + own]), sigmoid = 1.0f / (1.0f + __expf(-raw));
      if (LAG) lag += float((REVERSED ? -1 : 1) * (local % kChunk + 1)) * (SILU_X ? silu(raw) : raw) * gradient;
      if (SILU_X) gradient *= sigmoid * (1.0f + raw * (1.0f - sigmoid));
      if (wanted) out[t * o_token + own] = narrow<Output>(gradient);
    }
    if (LAG && !REVERSED && chunk_ends) pair_states(local / kChunk, 0);
    // The next token's queries are written while others may still read parts, and these are written after the barrier
    // that comes before.
  }
  if (last != nullptr) for_state(s, [&](int d, int c, float& value) { last[state + place(d, c)] = value; });
  if (LAG) {
    lag = block_sum(lag, sums);
    if (thread == 0) lags[(row * gridDim.x + blockIdx.x) * heads + head] = lag;
  }
}

// Gradients of lightning attention by chunks of 64 tokens on tensor cores, for bf16.
//
// With G the gradient of the outputs, S the states and R their adjoints (R of the last state is its gradient), over the
// m tokens of a chunk:
//
//   dQ = (G V^T o D) K + diag(lambda^(i+1)) G S^T           S' = lambda^m S + K^T diag(lambda^(m-1-i)) V
//   dK = (G V^T o D)^T Q + diag(lambda^(m-1-i)) V R^T       R before = lambda^m R + Q^T diag(lambda^(i+1)) G
//   dV = (Q K^T o D)^T G + diag(lambda^(m-1-i)) K R
//
// Each is a forward pass over other operands: dQ that of G, V, K for q, k, v with the states transposed; dK that of
// V, G, Q and dV that of K, Q, G, both in reversed time, where the state counts from one token later on. So a launch has
// blocks of three kinds, none waits for another, no state is kept, and a block has one sequence, one head and some
// columns of one gradient, which do not depend on one another.
//
// The gradient of log(lambda) pairs each term with its exponent, so that nothing cancels over a long sequence:
//
//   sum_i (i+1) q_i . dq_i - sum_j ((j+1) k_j . dk_j - m k_j . dk(state)_j) + m lambda^m <R, S>     summed over chunks
//
// The last needs a state beside its adjoint: only for this, the blocks of dQ leave the states before each chunk in memory
// for those of dK, which are then launched after them.
//
// Numerics: scores, their adjoints and results of SiLU are rounded to bf16, and so are states where they enter a product;
// sums and what is carried from chunk to chunk are fp32. Values with their decay go in two bf16 parts where a head
// forgets slowly: there one part would round the decay of a chunk away. Elsewhere its errors have either sign.
// Memory: each gradient reads three of q, k, v, G and is written once; the second and third read are of the L2 cache.
// Constants: O the code of the gradients' type; DK, DV; COLUMNS_K, COLUMNS_V, what a block has of them; SILU; LAG,
// whether the gradient of log(lambda) is wanted.
#include "lightning_chunk.cuh"
#include "lightning_rows.cuh"

typedef ElementOf<O>::type Output;

constexpr int kBlocks = DK <= 128 && DV <= 128 ? 3 : 1;
constexpr int kSlicesK = DK / COLUMNS_K;
constexpr int kSlicesV = DV / COLUMNS_V;

/// A kind of block: what stands for q, k and v, in which order, and which of them go through SiLU.
struct OfQueries {
  static constexpr int kKeys = DV, kValues = DK, kColumns = COLUMNS_K;
  static constexpr bool kReversed = false, kTransposed = true, kPaired = LAG;
  static constexpr bool kSiluQ = false, kSiluK = SILU, kSiluV = SILU;
};
struct OfKeys {
  static constexpr int kKeys = DV, kValues = DK, kColumns = COLUMNS_K;
  static constexpr bool kReversed = true, kTransposed = true, kPaired = LAG;
  static constexpr bool kSiluQ = SILU, kSiluK = false, kSiluV = SILU;
};
struct OfValues {
  static constexpr int kKeys = DK, kValues = DV, kColumns = COLUMNS_V;
  static constexpr bool kReversed = true, kTransposed = false, kPaired = false;
  static constexpr bool kSiluQ = SILU, kSiluK = SILU, kSiluV = false;
};

template <class Kind>
struct Shared {
  bf16 q[kChunk][Kind::kKeys + kPad];
  bf16 k[kChunk][Kind::kKeys + kPad];
  bf16 v[kChunk][Kind::kColumns + kPad];
  union {
    bf16 state[1][Kind::kKeys][Kind::kColumns + kPad];
    bf16 decayed[2][kChunk][Kind::kColumns + kPad];
  };
  float decay[kChunk + 1];
  float parts[kWarp];
};

/// The values of a chunk times factor lambda^(m - later - i), in one or two parts.
template <class Kind>
__device__ __forceinline__ void decay_values(Shared<Kind>& shared, int parts, float factor, int m) {
  constexpr int kVectors = Kind::kColumns / 8;
  constexpr int later = Kind::kReversed ? 0 : 1;
  for (int unit = threadIdx.x; unit < kChunk * kVectors; unit += kThreads) {
    int i = unit / kVectors, column = unit % kVectors * 8;
    float weight = i < m ? factor * shared.decay[m - later - i] : 0.0f;
    float x[8], left[8];
    load(&shared.v[i][column], x);
#pragma unroll
    for (int j = 0; j < 8; j++) {
      x[j] *= weight;
      left[j] = x[j] - widen(narrow<bf16>(x[j]));
    }
    store(&shared.decayed[0][i][column], x);
    if (parts > 1) store(&shared.decayed[1][i][column], left);
  }
}

/// sum of weight(i) x_i . o_i over this thread's part of a chunk; x after SiLU.
template <int tiles, class Weight>
__device__ __forceinline__ float paired(const Rows<const bf16>& x, int t, int m, float (&o)[tiles][4], Weight weight) {
  float sum = 0;
  for_outputs(o, [&](int i, int column, float a, float b) {
    if (i >= m) return;
    float raw[2];
    load(x.at + (t + i) * x.token + column, raw);
    sum += weight(i) * (SILU ? silu(raw[0]) * a + silu(raw[1]) * b : raw[0] * a + raw[1] * b);
  });
  return sum;
}

/// Writes the gradients of a chunk, times the derivative of SiLU at x.
template <int tiles>
__device__ __forceinline__ void write(const Rows<const bf16>& x, const Rows<Output>& out, int t, int m,
                                      float (&o)[tiles][4]) {
  for_outputs(o, [&](int i, int column, float a, float b) {
    if (i >= m) return;
    float gradient[2] = {a, b};
    if (SILU) {
      float raw[2];
      load(x.at + (t + i) * x.token + column, raw);
#pragma unroll
      for (int j = 0; j < 2; j++) {
        float s = __fdividef(1.0f, 1.0f + __expf(-raw[j]));
        gradient[j] *= s * (1.0f + raw[j] * (1.0f - s));
      }
    }
    store(out.at + (t + i) * out.token + column, gradient);
  });
}

/// The states before a chunk, as the threads of two blocks of the same shape have them; <S, R> of this thread's part
/// if S is what was kept.
template <int keys, int down, int tiles>
__device__ __forceinline__ float keep(float* kept, bool write, float (&s)[down][tiles][4]) {
  float sum = 0;
#pragma unroll
  for (int tile = 0; tile < down; tile++) {
#pragma unroll
    for (int n = 0; n < tiles; n++) {
      float* at = kept + ((tile * tiles + n) * kThreads + int(threadIdx.x)) * 4;
      if (write) {
        store(at, s[tile][n]);
      } else {
        float before[4];
        load(at, before);
#pragma unroll
        for (int i = 0; i < 4; i++) sum += before[i] * s[tile][n][i];
      }
    }
  }
  return sum;
}

/// One kind of gradient for one sequence, head and slice of columns. `first` is the state that it starts with, or null
/// for zeros; `last` where the one it ends with goes, or null.
template <class Kind>
__device__ __forceinline__ void scan(Kind, unsigned char* memory, const Span& span, Rows<const bf16> q,
                                     Rows<const bf16> k, Rows<const bf16> v, const Rows<const bf16>& x,
                                     const Rows<Output>& out, const float* first, float* last, float* kept,
                                     int64_t kept_chunk, float* lags) {
  constexpr int kKeys = Kind::kKeys, kColumns = Kind::kColumns;
  constexpr int later = Kind::kReversed ? 0 : 1;
  Shared<Kind>& shared = *reinterpret_cast<Shared<Kind>*>(memory);
  if (threadIdx.x <= kChunk) shared.decay[threadIdx.x] = expf(span.log_decay * float(threadIdx.x));
  int parts = span.log_decay * kChunk > -0.25f ? 2 : 1;
  float before = Kind::kReversed ? 1.0f : span.scale, behind = Kind::kReversed ? span.scale : 1.0f;

  float s[state_tiles(kKeys)][kColumns / 8][4] = {};
  constexpr int64_t kDown = Kind::kTransposed ? 1 : Kind::kValues, kAcross = Kind::kTransposed ? kKeys : 1;
  if (first != nullptr) {
    for_state<kKeys>(s, [&](int d, int column, float& a, float& b) {
      a = first[d * kDown + column * kAcross];
      b = first[d * kDown + (column + 1) * kAcross];
    });
  }
  int count = span.count;
  // Chunks lie as in the forward pass: counted from the end, the short one is first.
  int m = Kind::kReversed ? (count - 1) % kChunk + 1 : min(kChunk, count);
  if (count > 0) {
    bring<kKeys>(shared.q, q, 0, m);
    bring<kKeys>(shared.k, k, 0, m);
    bring<kColumns>(shared.v, v, 0, m);
    commit_copies();
  }
  float lag = 0;
  for (int t = 0, next; t < count; t += m, m = next) {
    next = min(kChunk, count - t - m);
    for_state<kKeys>(s, [&](int d, int column, float a, float b) {
      store(&shared.state[0][d][column], {a, b});
    });
    wait_copies<0>();
    finish<Kind::kSiluQ, kKeys>(shared.q);
    finish<Kind::kSiluK, kKeys>(shared.k);
    finish<Kind::kSiluV, kColumns>(shared.v);
    __syncthreads();
    float o[kColumns / 8][4];
    outputs_of_state<kKeys, 1>(shared, later, before, o);
    if (Kind::kPaired && Kind::kReversed) lag += paired(x, t, m, o, [&](int) { return float(m); });
    add_outputs_of_chunk<kKeys>(shared, span.scale, o);
    if (Kind::kPaired) {
      float* at = kept + (Kind::kReversed ? (count - t - m) / kChunk : t / kChunk) * kept_chunk;
      float inner = keep<kKeys>(at, !Kind::kReversed, s);
      lag += float(m) * shared.decay[m] * inner;
      lag += paired(x, t, m, o, [&](int i) { return Kind::kReversed ? float(i - m) : float(i + 1); });
    }
    if (out.at != nullptr) write(x, out, t, m, o);
    // The warps are done with queries and state.
    __syncthreads();
    if (next > 0) bring<kKeys>(shared.q, q, t + m, next);
    decay_values(shared, parts, behind, m);
    __syncthreads();
    if (next > 0) bring<kColumns>(shared.v, v, t + m, next);
    advance<kKeys>(shared, parts, expm1f(span.log_decay * float(m)), s);
    __syncthreads();
    if (next > 0) bring<kKeys>(shared.k, k, t + m, next);
    commit_copies();
  }
  if (last != nullptr) {
    for_state<kKeys>(s, [&](int d, int column, float a, float b) {
      last[d * kDown + column * kAcross] = a;
      last[d * kDown + (column + 1) * kAcross] = b;
    });
  }
  if (Kind::kPaired) {
    lag = block_sum(lag, shared.parts);
    if (threadIdx.x == 0) *lags = lag;
  }
}

/// Block (x, y, z): slice first_slice + x of the gradients of q, k and v side by side, head y, sequence z. All rows start
/// at multiples of 16 bytes. Gradients that are null are not written. kept: for LAG, the states before each chunk, one
/// chunk a sequence more than tokens / 64; lags [sequences][2 kSlicesK][heads].
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    lightning_backward(const bf16* q, int64_t q_row, int64_t q_token, int64_t q_head, const bf16* k, int64_t k_row,
                       int64_t k_token, int64_t k_head, const bf16* v, int64_t v_row, int64_t v_token, int64_t v_head,
                       const bf16* g, int64_t g_row, int64_t g_token, int64_t g_head, Output* dq, int64_t dq_row,
                       int64_t dq_token, int64_t dq_head, Output* dk, int64_t dk_row, int64_t dk_token,
                       int64_t dk_head, Output* dv, int64_t dv_row, int64_t dv_token, int64_t dv_head,
                       const float* initial, const float* d_final, float* d_initial, const float* log_decay,
                       float scale, const int* offsets, int tokens, float* kept, float* lags, int first_slice) {
  L4J_DYNAMIC_SHARED(memory);
  int slice = first_slice + int(blockIdx.x), sequence = blockIdx.z;
  int64_t heads = gridDim.y;
  Span span;
  span.head = blockIdx.y;
  span.first = offsets != nullptr ? offsets[sequence] : 0;
  span.count = offsets != nullptr ? offsets[sequence + 1] - span.first : tokens;
  span.row = offsets != nullptr ? 0 : sequence;
  span.log_decay = log_decay[span.head];
  span.scale = scale;
  int64_t state = (sequence * heads + span.head) * DK * DV;
  const float* start = d_final != nullptr ? d_final + state : nullptr;

  if (slice >= 2 * kSlicesK) {
    OfValues kind;
    int column = (slice - 2 * kSlicesK) * COLUMNS_V;
    auto x = Rows<const bf16>::of(v + column, v_row, v_token, v_head, span, kind);
    auto gradients = Rows<const bf16>::of(g + column, g_row, g_token, g_head, span, kind);
    auto out = Rows<Output>::of(dv + column, dv_row, dv_token, dv_head, span, kind);
    if (dv == nullptr) out.at = nullptr;
    scan(kind, memory, span, Rows<const bf16>::of(k, k_row, k_token, k_head, span, kind),
         Rows<const bf16>::of(q, q_row, q_token, q_head, span, kind), gradients, x, out,
         start != nullptr ? start + column : nullptr, d_initial != nullptr ? d_initial + state + column : nullptr,
         nullptr, 0, nullptr);
    return;
  }
  int column = slice % kSlicesK * COLUMNS_K;
  constexpr int64_t kKept = state_tiles(DV) * kWarps * 16 * COLUMNS_K;
  int64_t before = offsets != nullptr ? span.first / kChunk + sequence
                                      : int64_t(sequence) * ((tokens + kChunk - 1) / kChunk);
  float* own = LAG ? kept + ((before * heads + span.head) * kSlicesK + slice % kSlicesK) * kKept : nullptr;
  float* lag = LAG ? lags + (int64_t(sequence) * 2 * kSlicesK + slice) * heads + span.head : nullptr;
  if (slice >= kSlicesK) {
    OfKeys kind;
    auto x = Rows<const bf16>::of(k + column, k_row, k_token, k_head, span, kind);
    auto queries = Rows<const bf16>::of(q + column, q_row, q_token, q_head, span, kind);
    auto out = Rows<Output>::of(dk + column, dk_row, dk_token, dk_head, span, kind);
    scan(kind, memory, span, Rows<const bf16>::of(v, v_row, v_token, v_head, span, kind),
         Rows<const bf16>::of(g, g_row, g_token, g_head, span, kind), queries, x, out,
         start != nullptr ? start + column * DV : nullptr, nullptr, own, heads * kSlicesK * kKept, lag);
  } else {
    OfQueries kind;
    auto x = Rows<const bf16>::of(q + column, q_row, q_token, q_head, span, kind);
    auto keys = Rows<const bf16>::of(k + column, k_row, k_token, k_head, span, kind);
    auto out = Rows<Output>::of(dq + column, dq_row, dq_token, dq_head, span, kind);
    scan(kind, memory, span, Rows<const bf16>::of(g, g_row, g_token, g_head, span, kind),
         Rows<const bf16>::of(v, v_row, v_token, v_head, span, kind), keys, x, out,
         initial != nullptr ? initial + state + column * DV : nullptr, nullptr, own, heads * kSlicesK * kKept, lag);
  }
}

// Log-probability, log-sum-exp and entropy from hidden states and the head, without the logits in memory.
//
//   z_v = hidden . head_v / temperature
//   m, s, w = max z, sum e^(z - m), sum e^(z - m) (z - m)         over the words but the target
//
// A block has ROWS tokens and a stretch of the vocabulary, which it goes through in tiles of COLUMNS words on tensor
// cores, copies of coming steps under way across the borders of tiles. Each thread keeps m, s, w of the words it holds of
// each of its tokens, and moves s and w on when m grows; at the end they are joined over threads and warps in one fixed
// order, and head_join joins the stretches in double. The target stays out of the sums: log p = -log1p(rest / own) has
// all its digits where p is nearly 1.
//
// Cost: 2 T V H operations; the head is read once for each ROWS tokens, mostly from the L2 cache.
// Constants: ROWS, COLUMNS, WARP_ROWS (a warp has WARP_ROWS x 32), STAGES; TARGET, bytes of a target, 4 or 8.
#include "core_cuda.cuh"
#include "tile_cuda.cuh"

#if TARGET == 4
typedef int32_t Target;
#else
typedef int64_t Target;
#endif

constexpr int kWarpsDown = ROWS / WARP_ROWS;
constexpr int kWarpsAcross = COLUMNS / 32;
constexpr int kThreads = kWarpsDown * kWarpsAcross * kWarp;
constexpr int kDown = WARP_ROWS / 16;
constexpr int kAcross = 4;
/// Far below any logit, and far enough from the end of fp32 that differences are finite.
constexpr float kLowest = -1e38f;

struct Stage {
  bf16 hidden[ROWS][kDepth];
  bf16 head[COLUMNS][kDepth];
};

/// Of some words of one token; (kLowest, 0, 0) of none.
struct Part {
  float m, s, w;
};

struct Shared {
  Stage stages[STAGES];
  Part parts[kWarpsAcross][ROWS];
};

/// Moves a part to another m, not below its own.
__device__ __forceinline__ void raise(Part& part, float m) {
  float shift = part.m - m, factor = expf(shift);
  part.w = factor * fmaf(part.s, shift, part.w);
  part.s *= factor;
  part.m = m;
}

__device__ __forceinline__ Part join(Part a, Part b) {
  float m = fmaxf(a.m, b.m);
  raise(a, m);
  raise(b, m);
  return {m, a.s + b.s, a.w + b.w};
}

/// A thread's logits of a tile: token rows by words.
__device__ __forceinline__ void take(const float (&z)[kDown][kAcross][4], float scale, int column, int words,
                                     const int64_t (&targets)[kDown][2], int64_t first_word, float* target_logits,
                                     Part (&parts)[kDown][2]) {
#pragma unroll
  for (int i = 0; i < kDown; i++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      Part& part = parts[i][half];
      float m = part.m;
#pragma unroll
      for (int j = 0; j < kAcross * 2; j++) {
        int at = column + j / 2 * 8 + j % 2;
        if (at < words && first_word + at != targets[i][half]) m = fmaxf(m, scale * z[i][j / 2][half * 2 + j % 2]);
      }
      if (m != part.m) raise(part, m);
#pragma unroll
      for (int j = 0; j < kAcross * 2; j++) {
        int at = column + j / 2 * 8 + j % 2;
        float logit = scale * z[i][j / 2][half * 2 + j % 2];
        if (at >= words) continue;
        if (first_word + at == targets[i][half]) {
          target_logits[(i * 2 + half) * 8] = logit;
        } else {
          float shift = logit - m, e = expf(shift);
          part.s += e;
          part.w = fmaf(e, shift, part.w);
        }
      }
    }
  }
}

/// Tokens ROWS blockIdx.x, tiles `tiles` blockIdx.y of the vocabulary. partial [stretches][T] and target_logits [T] get
/// what head_join joins. Rows of hidden and head start at multiples of 16 bytes; h is a multiple of 8.
extern "C" __global__ void __launch_bounds__(kThreads, kThreads == 128 ? 3 : 1)
    head_forward(const bf16* hidden, int64_t ldh, const bf16* head, int64_t ldw, const Target* targets, int t, int v,
                 int h, float scale, int tiles, float* partial, float* target_logits) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int warp_row = warp / kWarpsAcross * WARP_ROWS, warp_column = warp % kWarpsAcross * 32;
  int64_t first_token = int64_t(blockIdx.x) * ROWS, first_word = int64_t(blockIdx.y) * tiles * COLUMNS;
  int rows = min(ROWS, int(t - first_token));
  int words = int(min(int64_t(tiles) * COLUMNS, v - first_word));
  int depths = (h + kDepth - 1) / kDepth;
  int steps = (words + COLUMNS - 1) / COLUMNS * depths;
  hidden += first_token * ldh;
  head += first_word * ldw;
  auto bring = [&](int step) {
    Stage& to = shared.stages[step % STAGES];
    int tile = step / depths * COLUMNS, at = step % depths * kDepth;
    bring_rows<kThreads>(to.hidden, hidden, ldh, rows, at, h);
    bring_rows<kThreads>(to.head, head + tile * ldw, ldw, words - tile, at, h);
  };
  Part parts[kDown][2];
  int64_t own_targets[kDown][2];
#pragma unroll
  for (int i = 0; i < kDown * 2; i++) {
    int row = warp_row + i * 8 + lane / 4;
    parts[i / 2][i % 2] = {kLowest, 0, 0};
    own_targets[i / 2][i % 2] = row < rows ? int64_t(targets[first_token + row]) : -1;
  }
  float sum[kDown][kAcross][4] = {};
#pragma unroll
  for (int step = 0; step < STAGES - 1; step++) {
    if (step < steps) bring(step);
    commit_copies();
  }
  for (int step = 0; step < steps; step++) {
    wait_copies<STAGES - 2>();
    __syncthreads();
    if (step + STAGES - 1 < steps) bring(step + STAGES - 1);
    commit_copies();
    const Stage& stage = shared.stages[step % STAGES];
#pragma unroll
    for (int depth = 0; depth < kDepth; depth += 16) {
      multiply(stage.hidden[0], warp_row, stage.head[0], warp_column, depth, sum);
    }
    if ((step + 1) % depths == 0) {
      int tile = step / depths * COLUMNS;
      take(sum, scale, warp_column + lane % 4 * 2, words - tile, own_targets, first_word + tile,
           target_logits + first_token + warp_row + lane / 4, parts);
#pragma unroll
      for (int i = 0; i < kDown * kAcross * 4; i++) sum[i / (kAcross * 4)][i / 4 % kAcross][i % 4] = 0;
    }
  }
#pragma unroll
  for (int i = 0; i < kDown * 2; i++) {
    Part part = parts[i / 2][i % 2];
#pragma unroll
    for (int flip = 1; flip < 4; flip *= 2) {
      Part other;
      other.m = __shfl_xor_sync(kAllLanes, part.m, flip);
      other.s = __shfl_xor_sync(kAllLanes, part.s, flip);
      other.w = __shfl_xor_sync(kAllLanes, part.w, flip);
      part = join(part, other);
    }
    if (lane % 4 == 0) shared.parts[warp % kWarpsAcross][warp_row + i * 8 + lane / 4] = part;
  }
  __syncthreads();
  for (int row = threadIdx.x; row < rows; row += kThreads) {
    Part all = shared.parts[0][row];
    for (int i = 1; i < kWarpsAcross; i++) all = join(all, shared.parts[i][row]);
    float* to = partial + (blockIdx.y * int64_t(t) + first_token + row) * 3;
    to[0] = all.m, to[1] = all.s, to[2] = all.w;
  }
}

/// Joins the stretches; NaN where a target is outside the vocabulary or a logit is not finite. entropy may be null.
extern "C" __global__ void __launch_bounds__(128)
    head_join(const float* partial, int stretches, const float* target_logits, const Target* targets, int t, int v,
              float* log_prob, double* log_sum_exp, float* entropy) {
  int token = blockIdx.x * blockDim.x + threadIdx.x;
  if (token >= t) return;
  int64_t target = targets[token];
  double own = target >= 0 && target < v ? target_logits[token] : 0.0 / 0.0;
  double m = own;
  for (int i = 0; i < stretches; i++) m = fmax(m, double(partial[(i * int64_t(t) + token) * 3]));
  // The words but the target: sum e^(z - m), sum e^(z - m) (z - m).
  double rest = 0, weighted = 0;
  for (int i = 0; i < stretches; i++) {
    const float* part = partial + (i * int64_t(t) + token) * 3;
    double shift = part[0] - m, factor = exp(shift);
    rest += factor * part[1];
    weighted += factor * (part[2] + part[1] * shift);
  }
  double own_share = exp(own - m), all = rest + own_share;
  // With the target the largest, log1p keeps what a sum near 1 would lose.
  double log_p = own == m ? -log1p(rest) : own - m - log(all);
  double log_all = own - log_p;
  bool broken = !(log_all - log_all == 0) || weighted != weighted;
  double none = 0.0 / 0.0;
  log_prob[token] = broken ? float(none) : float(log_p);
  log_sum_exp[token] = broken ? none : log_all;
  if (entropy != nullptr) {
    double others = (weighted - rest * (log_all - m)) / all;
    entropy[token] = broken ? float(none) : float(-(own_share / all * log_p + others));
  }
}

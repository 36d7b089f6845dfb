// The gradients of log-probabilities and entropies from the head, by blocks of tokens and words.
//
//   log p_v = scale hidden . head_v - log_sum_exp
//   dz_v = scale (d_log_prob (1[v = target] - p_v) - d_entropy p_v (log p_v + entropy))
//   d_hidden_t = sum_v dz_tv head_v         d_head_v = sum_t dz_tv hidden_t
//
// Three launches a block, one after another: head_d_logits makes the logits again, tile by tile, and leaves dz in bf16;
// head_d_hidden and head_d_head multiply it with the head and with the hidden states as they lie in memory, the tiles
// turned round on their way to registers. A block of dz is as large as a scratch memory that does not grow with the
// vocabulary, so sums over words and tokens go from block to block in fp32 in the outputs, in one order: the same bits
// always, and no atomics.
//
// Numerics: logits are the forward pass's, bit for bit; log_sum_exp is a double, taken off as two floats; the target's
// 1 - p is -expm1(log_prob): neither is the difference of two rounded numbers. dz is rounded to bf16, products are
// exact, sums fp32. Tokens without gradients give zeros whatever their hidden states and targets hold.
// Cost: 6 T V H operations; dz is written once and read for each tile of the others' columns, from the L2 cache.
// Constants: ROWS, COLUMNS, WARP_ROWS (a warp has WARP_ROWS x 32 sums), STAGES; TARGET, bytes of a target, 4 or 8.
#include "product_cuda.cuh"

#if TARGET == 4
typedef int32_t Target;
#else
typedef int64_t Target;
#endif

typedef TileOf<ROWS, COLUMNS, WARP_ROWS> Tile;

constexpr int kThreads = Tile::kThreads;
constexpr int kBlocks = kThreads == 128 ? 3 : 2;

/// What dz of a token is made of: p (base + slope log p), but for its target.
struct Token {
  float high, low, base, slope, own;
  int target;
  bool idle;
};

struct Logits {
  struct Stage {
    bf16 hidden[ROWS][kDepth];
    bf16 head[COLUMNS][kDepth];
  } stages[STAGES];
  Token tokens[ROWS];
};

struct Hidden {
  bf16 dz[ROWS][kDepth];
  bf16 head[kDepth][COLUMNS];
};

struct Head {
  bf16 dz[kDepth][ROWS];
  bf16 hidden[kDepth][COLUMNS];
};

__device__ __forceinline__ bool is_idle(const float* d_log_prob, const float* d_entropy, int64_t t) {
  return d_log_prob[t] == 0 && (d_entropy == nullptr || d_entropy[t] == 0);
}

/// Tile (blockIdx.x, blockIdx.y) of dz [tokens][pitch], for `words` words from first_word; zeros in what a row has
/// beyond them. Arrays begin with the block's first token, head with its first word. d_entropy may be null, and then
/// entropy.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    head_d_logits(const bf16* hidden, int64_t ldh, const bf16* head, int64_t ldw, const Target* targets, int tokens,
                  int first_word, int words, int h, float scale, const float* log_prob, const double* log_sum_exp,
                  const float* entropy, const float* d_log_prob, const float* d_entropy, bf16* dz, int pitch) {
  L4J_DYNAMIC_SHARED(memory);
  Logits& shared = *reinterpret_cast<Logits*>(memory);
  int row = blockIdx.x * ROWS, column = blockIdx.y * COLUMNS;
  int rows = min(ROWS, tokens - row), columns = min(COLUMNS, words - column);
  for (int i = threadIdx.x; i < rows; i += kThreads) {
    int64_t t = row + i, target = targets[t] - first_word - column;
    float d_log = d_log_prob[t], d_ent = d_entropy != nullptr ? d_entropy[t] : 0.0f;
    float mean = d_ent != 0 ? entropy[t] : 0.0f, log_p = log_prob[t];
    double sum = log_sum_exp[t];
    Token& to = shared.tokens[i];
    to.high = float(sum);
    to.low = float(sum - to.high);
    to.slope = -scale * d_ent;
    to.base = -scale * d_log + to.slope * mean;
    to.own = -scale * d_log * expm1f(log_p) + to.slope * expf(log_p) * (log_p + mean);
    to.idle = is_idle(d_log_prob, d_entropy, t);
    to.target = target >= 0 && target < columns ? int(target) : -1;
  }
  float sum[Tile::kDown][Tile::kAcross][4] = {};
  hidden += row * ldh;
  head += column * ldw;
  for_stages<STAGES>(
      steps_of(h),
      [&](int stage, int step) {
        bring_rows<kThreads>(shared.stages[stage].hidden, hidden, ldh, rows, step * kDepth, h);
        bring_rows<kThreads>(shared.stages[stage].head, head, ldw, columns, step * kDepth, h);
      },
      [&](int stage, int) {
        multiply_stage(Along{shared.stages[stage].hidden[0]}, Tile::row(), Along{shared.stages[stage].head[0]},
                       Tile::column(), sum);
      });
  Tile::for_pairs([&](int i, int at, int down, int across, int e) {
    if (i >= rows || column + at >= pitch) return;
    const Token& token = shared.tokens[i];
    float d[2];
#pragma unroll
    for (int c = 0; c < 2; c++) {
      float log_p = (scale * sum[down][across][e + c] - token.high) - token.low;
      d[c] = at + c == token.target ? token.own : expf(log_p) * fmaf(token.slope, log_p, token.base);
      if (at + c >= columns || token.idle) d[c] = 0;
    }
    *reinterpret_cast<uint32_t*>(dz + int64_t(row + i) * pitch + column + at) = pack_bf16(d[0], d[1]);
  });
}

/// Sums to out, or added to it.
__device__ __forceinline__ void put(const Tile::Sums& sum, float* out, int64_t ldo, int rows, int columns, bool add) {
  Tile::for_pairs([&](int i, int at, int down, int across, int e) {
    if (i >= rows) return;
#pragma unroll
    for (int c = 0; c < 2; c++) {
      if (at + c >= columns) return;
      float* to = out + i * ldo + at + c;
      *to = add ? *to + sum[down][across][e + c] : sum[down][across][e + c];
    }
  });
}

/// Tile (blockIdx.x, blockIdx.y) of out [tokens, h] = dz head, or added to out.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    head_d_hidden(const bf16* dz, int pitch, const bf16* head, int64_t ldw, int tokens, int words, int h, float* out,
                  int64_t ldo, int add) {
  L4J_DYNAMIC_SHARED(memory);
  Hidden* stages = reinterpret_cast<Hidden*>(memory);
  int row = blockIdx.x * ROWS, column = blockIdx.y * COLUMNS;
  int rows = min(ROWS, tokens - row), columns = min(COLUMNS, h - column);
  float sum[Tile::kDown][Tile::kAcross][4] = {};
  dz += int64_t(row) * pitch;
  for_stages<STAGES>(
      steps_of(words),
      [&](int stage, int step) {
        bring_rows<kThreads>(stages[stage].dz, dz, pitch, rows, step * kDepth, pitch);
        bring_depths<kThreads>(stages[stage].head, head + column, ldw, columns, [&](int k) {
          return step * kDepth + k < words ? int64_t(step) * kDepth + k : -1;
        });
      },
      [&](int stage, int) {
        multiply_stage(Along{stages[stage].dz[0]}, Tile::row(), Down<COLUMNS>{stages[stage].head[0]}, Tile::column(),
                       sum);
      });
  put(sum, out + row * ldo + column, ldo, rows, columns, add != 0);
}

/// Tile (blockIdx.x, blockIdx.y) of out [words, h] = dz^T hidden, or added to out. Hidden states of idle tokens are not
/// read: they may be NaN.
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    head_d_head(const bf16* dz, int pitch, const bf16* hidden, int64_t ldh, const float* d_log_prob,
                const float* d_entropy, int tokens, int words, int h, float* out, int64_t ldo, int add) {
  L4J_DYNAMIC_SHARED(memory);
  Head* stages = reinterpret_cast<Head*>(memory);
  int row = blockIdx.x * ROWS, column = blockIdx.y * COLUMNS;
  int rows = min(ROWS, words - row), columns = min(COLUMNS, h - column);
  float sum[Tile::kDown][Tile::kAcross][4] = {};
  for_stages<STAGES>(
      steps_of(tokens),
      [&](int stage, int step) {
        int first = step * kDepth;
        bring_depths<kThreads>(stages[stage].dz, dz + row, pitch, pitch - row,
                               [&](int k) { return first + k < tokens ? int64_t(first) + k : -1; });
        bring_depths<kThreads>(stages[stage].hidden, hidden + column, ldh, columns, [&](int k) {
          return first + k < tokens && !is_idle(d_log_prob, d_entropy, first + k) ? int64_t(first) + k : -1;
        });
      },
      [&](int stage, int) {
        multiply_stage(Down<ROWS>{stages[stage].dz[0]}, Tile::row(), Down<COLUMNS>{stages[stage].hidden[0]},
                       Tile::column(), sum);
      });
  put(sum, out + row * ldo + column, ldo, rows, columns, add != 0);
}

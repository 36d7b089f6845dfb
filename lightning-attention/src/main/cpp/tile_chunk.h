// A chunk of tokens as tiles of bf16 pairs, what the AMX prefill (lightning_tile_kernels.h) multiplies: its layout in
// scratch memory, and loading it.
//
// A left operand has tiles of 16 rows by 32 of depth, a right operand of 32 of depth by 16 columns with two rows of
// depth interleaved, so that a dword is always a pair of neighbours in depth. A tile is 1 KiB without gaps. Tokens and
// channels are padded by zeros to blocks of 32, two tiles either way.
#if L4J_WIDTH == 16

// Tokens in a chunk; see docs/notes/lightning-attention.md.
constexpr int64_t kTileTokens = 64;

constexpr int64_t kBlock = 32;
constexpr int64_t kTokenBlocks = kTileTokens / kBlock;

// Dwords in a tile.
constexpr int64_t kTile = 256;

static inline int64_t blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

typedef uint32_t vw __attribute__((vector_size(64)));

// Pairs of the upper halves.
static inline vf pairs(vf first, vf second) { return (vf)((vw)first >> 16 | ((vw)second & 0xffff0000)); }

// To bf16, nearest even. A NaN whose lower half is zero stays one.
static inline vf rounded(vf x) {
  vw bits = (vw)x;
  return (vf)((bits + (0x7fff + (bits >> 16 & 1))) & 0xffff0000);
}

// Two numbers of bf16 that sum up to x within 2^-16 of it.
struct Parts {
  vf high, low;

  explicit Parts(vf x) : high((vf)((vw)x & 0xffff0000)), low(rounded(x - high)) {}
};

static inline vi not_finite(vf x) { return ((vi)x & 0x7f800000) == 0x7f800000; }
static inline bool any(vi mask) {
  int32_t set = 0;
  for (int i = 0; i < kWidth; ++i) set |= mask[i];
  return set != 0;
}

// Scratch memory, in floats. L: left operand [row tiles][depth blocks] of tiles, R: right operand [depth blocks]
// [column tiles].
struct TileChunk {
  // Blocks of channels.
  int64_t K, E;
  // Row stride of states.
  int64_t ld;
  // L queries [tokens x Dk], R keys [Dk x tokens], L keys [Dk x tokens], L scores [tokens x tokens]
  float *q, *k_right, *k_left, *p;
  // R values [tokens x Dv]: as they are, and in two parts times lambda^(m-1-j)
  float *v, *v_high, *v_low;
  // R state [Dk x Dv] in two parts
  float *s_high, *s_low;
  // Keys of one block of tokens [kBlock][Dk] of bf16
  float* rows;
  // Sums of a block [kBlock][kBlock] of floats, or of two; one set is made while the other is used
  float* sums[2];
  // States [Dk][ld]
  float* states[3];

  static int64_t floats(int64_t Dk, int64_t Dv) {
    int64_t K = blocks(Dk), E = blocks(Dv), M = kTokenBlocks;
    return kTile * (6 * M * K + 2 * M * M + 6 * M * E + 4 * K * E + 2 * K + 16) + 3 * K * kBlock * leading(Dv);
  }
  TileChunk(float* at, int64_t Dk, int64_t Dv) : K(blocks(Dk)), E(blocks(Dv)), ld(leading(Dv)) {
    auto tiles = [&](int64_t count) {
      at += count * kTile;
      return at - count * kTile;
    };
    for (float** x : {&q, &k_right, &k_left}) *x = tiles(2 * kTokenBlocks * K);
    p = tiles(2 * kTokenBlocks * kTokenBlocks);
    for (float** x : {&v, &v_high, &v_low}) *x = tiles(2 * kTokenBlocks * E);
    for (float** x : {&s_high, &s_low}) *x = tiles(2 * K * E);
    rows = tiles(2 * K);
    for (float*& x : sums) x = tiles(8);
    for (int i = 0; i < 3; ++i) states[i] = at + i * K * kBlock * ld;
  }
  // Row i of two tiles side by side in depth, from the depth of block b on, of a left operand `depth` blocks deep.
  static bf16* left_row(float* x, int64_t depth, int64_t i, int64_t b) {
    return reinterpret_cast<bf16*>(x + ((i / 16) * depth + b) * kTile + i % 16 * 16);
  }
};

// The powers of a head's decay, computed in double and rounded once; exponents are never negative.
struct TileDecay {
  // lambda^r
  float up[kTileTokens];
  // scale lambda^(i+1)
  float inward[kTileTokens];
  // scale lambda^(kTileTokens - r), then zeros: row(i)[j] = scale lambda^(i - j) for j <= i, 0 behind
  float down[2 * kTileTokens + 1] = {};

  TileDecay(double log_decay, double scale, int64_t tokens) {
    for (int64_t r = 0; r < std::min(tokens, kTileTokens); ++r) {
      up[r] = static_cast<float>(std::exp(log_decay * r));
      inward[r] = static_cast<float>(scale * std::exp(log_decay * (r + 1)));
      down[kTileTokens - r] = static_cast<float>(scale * std::exp(log_decay * r));
    }
  }
  const float* row(int64_t i) const { return down + kTileTokens - i; }
};

// 1 / x within 2^-14.
static inline vf near_reciprocal(vf x) {
#if defined(L4J_HALVES)
  return (vf)((vi)(splat(1.0f) / x) & ~0x1ff);
#else
  return (vf)_mm512_rcp14_ps((__m512)x);
#endif
}

// SiLU within 2^-13, a 32nd of the step of bf16 to which it is rounded: without a division and with 2^f of degree
// 4 it takes half the cycles of silu().
static inline vf silu_to_bf16(vf x) {
  const vf magic = splat(12582912.0f);  // see exp()
  vf y = at_least(at_most(x * splat(-1.44269504f), 125.0f), -125.0f);
  vf shifted = y + magic;
  vf f = y - (shifted - magic);
  vf p = splat(0.009570101f);
  p = p * f + splat(0.055917863f);
  p = p * f + splat(0.24024744f);
  p = p * f + splat(0.6931218f);
  p = p * f + splat(0.9999993f);
  vf power = (vf)((vi)p + ((vi)shifted << 23));
  vf sigmoid = near_reciprocal(power + splat(1.0f));
  return rounded(x * (x < -100.0f ? vf{} : sigmoid));
}

// The next n <= kWidth elements, through SiLU or not; zeros behind them.
static inline vf read(const bf16* from, int64_t n, bool with_silu) {
  vf x = load_next(from, n);
  return with_silu ? silu_to_bf16(x) : x;
}
static inline const bf16* tokens_at(const Rows& x, int64_t t) { return reinterpret_cast<const bf16*>(x.row(t)); }

static inline void load_queries(const PrefillHead& h, const TileChunk& x, int64_t t, int64_t m) {
  for (int64_t i = 0; i < m; ++i) {
    const bf16* from = tokens_at(h.q, t + i);
    for (int64_t d = 0; d < x.K * kBlock; d += kWidth) {
      store(TileChunk::left_row(x.q, x.K, i, d / kBlock) + d % kBlock, read(from + d, h.Dk - d, h.as_is.with_silu));
    }
  }
}

static inline void transpose_tile(vf (&rows)[kWidth], float* to) {
  swap_quarters<kWidth / 2>(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) store(to + i * kWidth, rows[i]);
}

// Keys as both operands. A right tile is 16 rows of keys transposed dword by dword, a left one 16 rows of pairs.
static inline void load_keys(const PrefillHead& h, const TileChunk& x, int64_t t, int64_t m) {
  auto* rows = reinterpret_cast<bf16*>(x.rows);
  int64_t width = x.K * kBlock;
  for (int64_t b = 0; b < blocks(m); ++b) {
    for (int64_t j = 0; j < kBlock; ++j) {
      int64_t n = b * kBlock + j < m ? h.Dk : 0;
      const bf16* from = tokens_at(h.k, t + b * kBlock + j);
      for (int64_t d = 0; d < width; d += kWidth) store(rows + j * width + d, read(from + d, n - d, h.as_is.with_silu));
    }
    for (int64_t half = 0; half < 2 && h.with_out; ++half) {
      for (int64_t d = 0; d < x.K; ++d) {
        vf tile[kWidth];
        for (int64_t i = 0; i < kWidth; ++i) tile[i] = load(x.rows + ((half * 16 + i) * width + d * kBlock) / 2);
        transpose_tile(tile, x.k_right + (d * 2 * kTokenBlocks + 2 * b + half) * kTile);
      }
    }
    for (int64_t d = 0; d < width; d += kWidth) {
      vf tile[kWidth];
      for (int64_t i = 0; i < kWidth; ++i) {
        const bf16* pair = rows + 2 * i * width + d;
        tile[i] = pairs(load(pair), load(pair + width));
      }
      transpose_tile(tile, x.k_left + (d / kWidth * kTokenBlocks + b) * kTile);
    }
  }
}

// Values as right operands. What is not finite is left out of x.v, where zeros of P would spread it to earlier tokens;
// returns whether there was any.
static inline bool load_values(const PrefillHead& h, const TileChunk& x, int64_t t, int64_t m, const TileDecay& decay) {
  vi wild{};
  for (int64_t j = 0; j < blocks(m) * kBlock; j += 2) {
    for (int64_t c = 0; c < 2 * x.E; ++c) {
      vf value[2], high[2], low[2], tame[2];
      for (int64_t i = 0; i < 2; ++i) {
        bool there = j + i < m;
        int64_t n = there ? h.Dv - c * kWidth : 0;
        value[i] = read(tokens_at(h.v, t + j + i) + c * kWidth, n, h.as_is.with_silu);
        vi bad = not_finite(value[i]);
        Parts parts(value[i] * (there ? decay.up[m - 1 - j - i] : 0));
        high[i] = parts.high;
        low[i] = bad ? vf{} : parts.low;
        tame[i] = bad ? vf{} : value[i];
        wild |= bad;
      }
      int64_t at = (j / kBlock * 2 * x.E + c) * kTile + j % kBlock / 2 * kWidth;
      if (h.with_out) store(x.v + at, pairs(tame[0], tame[1]));
      store(x.v_high + at, pairs(high[0], high[1]));
      store(x.v_low + at, pairs(low[0], low[1]));
    }
  }
  return any(wild);
}

#endif

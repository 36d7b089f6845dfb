// A chunk of tokens in scratch memory: its layout, loading and storing it, and the powers of a head's decay.

// Tokens in a chunk; see docs/notes/lightning-attention.md.
constexpr int64_t kChunk = 32;

// The most vectors a tile of sums is wide; see chunk_tiles.h.
constexpr int kColumns = L4J_WIDTH == 16 ? 4 : 2;

// n rounded up to whole vectors.
static inline int64_t padded(int64_t n) { return (n + kWidth - 1) / kWidth * kWidth; }

// The row stride for n elements in scratch memory: room for n rounded up to 32, in an odd number of cache lines, so
// that a column of vectors spreads over all sets of the cache. (With 512-byte rows, heads of 128, every eighth line
// fell into one set.)
constexpr int64_t leading(int64_t n) { return ((n + 31) / 32 * 2 | 1) * 16; }

// The columns of one of `slices` parts of n, a multiple of 32 so that tiles are whole.
constexpr int64_t slice_width(int64_t n, int64_t slices) {
  return slices == 1 ? n : (n + 32 * slices - 1) / (32 * slices) * 32;
}

// The row stride of what has a column per token of the chunk.
constexpr int64_t kTokens = leading(kChunk);

// lambda^r, r = 0..longest, each computed in double and rounded once. Exponents are never negative: lambda^-r
// overflows for fast heads.
struct Powers {
  // lambda^r
  float up[kChunk + 1];
  // lambda^(kChunk - r), then zeros: row(i)[j] = lambda^(i - j) for j <= i, 0 behind
  float down[2 * kChunk + kColumns * kWidth + 1] = {};

  Powers(double log_decay, int64_t longest) {
    for (int64_t r = 0; r <= longest; ++r) {
      up[r] = static_cast<float>(std::exp(log_decay * r));
      down[kChunk - r] = up[r];
    }
  }
  const float* row(int64_t i) const { return down + kChunk - i; }
};

// lambda^m as the sum of two floats: a state is multiplied by it over and over, and for slow heads the error
// of one float (3e-8) would add up over thousands of steps.
struct Factor {
  float high, low;

  Factor(double log_decay, int64_t m) {
    double exact = std::exp(log_decay * m);
    high = static_cast<float>(exact);
    low = static_cast<float>(exact - high);
  }
};

// Calls typed(pointer) with rows of their element type, from token t on.
template <class Typed>
static inline void with_type(const Rows& x, int64_t t, Typed&& typed) {
  switch (x.type) {
    case kF32: return typed(reinterpret_cast<float*>(x.row(t)));
    case kBF16: return typed(reinterpret_cast<bf16*>(x.row(t)));
    case kF16: return typed(reinterpret_cast<f16*>(x.row(t)));
  }
}

// How inputs are read: through SiLU or not, then times a factor.
struct Reading {
  bool with_silu;
  float factor;
};

// to = factor * from or factor * silu(from), padded by zeros to whole vectors.
template <class T>
static inline void load_row(const T* from, int64_t n, Reading how, float* to) {
  if (how.with_silu) {
    for (int64_t d = 0; d < n; d += kWidth) store(to + d, silu(load_next(from + d, n - d)) * how.factor);
  } else {
    for (int64_t d = 0; d < n; d += kWidth) store(to + d, load_next(from + d, n - d) * how.factor);
  }
}

// Tokens t to t + m of a head into scratch memory.
static inline void load_rows(const Rows& x, int64_t t, int64_t m, int64_t n, Reading how, float* to) {
  with_type(x, t, [=](auto* from) {
    for (int64_t i = 0; i < m; ++i) load_row(from + i * x.stride, n, how, to + i * leading(n));
  });
}

// Rows of scratch memory into tokens t to t + m, rounded to their type.
static inline void store_rows(const float* from, const Rows& x, int64_t t, int64_t m, int64_t n) {
  with_type(x, t, [=](auto* to) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t d = 0; d < n; d += kWidth) {
        store_next(to + i * x.stride + d, load(from + i * leading(n) + d), n - d);
      }
    }
  });
}

// A state in memory, rows of ld floats, to scratch memory and back.
static inline void load_state(const float* from, int64_t ld, int64_t rows, int64_t n, float* to) {
  for (int64_t d = 0; d < rows; ++d) load_row(from + d * ld, n, Reading{false, 1}, to + d * leading(n));
}
static inline void store_state(const float* from, float* to, int64_t ld, int64_t rows, int64_t n) {
  for (int64_t d = 0; d < rows; ++d) std::memcpy(to + d * ld, from + d * leading(n), n * 4);
}
// The same, where null stands for zeros.
static inline void store_or_clear(const float* from, float* to, int64_t ld, int64_t rows, int64_t n) {
  if (from != nullptr) return store_state(from, to, ld, rows, n);
  for (int64_t d = 0; d < rows; ++d) std::memset(to + d * ld, 0, n * 4);
}

// One round of transposing a square of vectors: swaps the off-diagonal quarters of every 2H x 2H block.
template <int H>
static inline __attribute__((always_inline)) void swap_quarters(vf (&rows)[kWidth]) {
  vi first, second;
  for (int l = 0; l < kWidth; ++l) {
    first[l] = (l & H) == 0 ? l : kWidth + l - H;
    second[l] = (l & H) == 0 ? l + H : kWidth + l;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    if ((i & H) != 0) continue;
    vf a = rows[i], b = rows[i + H];
    rows[i] = __builtin_shuffle(a, b, first);
    rows[i + H] = __builtin_shuffle(a, b, second);
  }
  if constexpr (H > 1) swap_quarters<H / 2>(rows);
}

// to[d][j] = from[j][d]; rows of `from` are readable, rows of `to` are filled with zeros, to whole vectors.
static inline void transpose(const float* from, int64_t rows, int64_t columns, int64_t ld, float* to, int64_t ldt) {
  for (int64_t j = 0; j < rows; j += kWidth) {
    for (int64_t d = 0; d < columns; d += kWidth) {
      vf square[kWidth];
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; ++i) square[i] = j + i < rows ? load(from + (j + i) * ld + d) : vf{};
      swap_quarters<kWidth / 2>(square);
      int64_t whole = std::min<int64_t>(kWidth, columns - d);
      for (int i = 0; i < whole; ++i) store(to + (d + i) * ldt + j, square[i]);
    }
  }
}

// row j of n elements *= factors[j * step], for each of m rows
static inline void scale_rows(float* rows, int64_t m, int64_t n, const float* factors, int64_t step) {
  for (int64_t j = 0; j < m; ++j) {
    float* row = rows + j * leading(n);
    for (int64_t d = 0; d < n; d += kWidth) store(row + d, load(row + d) * factors[j * step]);
  }
}


// What the chunk kernels are made of: products of small matrices tile by tile in registers, loading a chunk of
// tokens, and the powers of a head's decay.
//
// A tile is kRows x kColumns vectors of sums. Its left operand is read one broadcast element at a time, at any
// row and depth stride (so a transposed left operand costs nothing); its right operand in whole vectors, so
// right operands lie in scratch memory with rows padded by zeros to whole vectors. A sum runs over the depth in
// ascending order whatever the tile, hence results do not depend on the tiling.

// Tokens in a chunk; see docs/notes/lightning-attention.md.
constexpr int64_t kChunk = 32;

// Registers: sums, one row of the right operand, one broadcast. 6*2+2+1 = 15 of 16, 6*4+4+1 = 29 of 32.
constexpr int kRows = 6;
constexpr int kColumns = L4J_WIDTH == 16 ? 4 : 2;

// n rounded up to whole vectors.
static inline int64_t padded(int64_t n) { return (n + kWidth - 1) / kWidth * kWidth; }

// The row stride for n elements in scratch memory: an odd number of cache lines, so that a column of vectors
// spreads over all sets of the cache. (With 512-byte rows, heads of 128, every eighth line fell into one set.)
constexpr int64_t leading(int64_t n) { return ((n + 15) / 16 | 1) * 16; }

// The row stride of what has a column per token of the chunk.
constexpr int64_t kTokens = leading(kChunk);

// sums[r][c] += sum over k < depth of a[r * row + k * step] * b[k * ldb + c * kWidth ...]
template <int R, int C>
static inline __attribute__((always_inline)) void add_product(vf (&sums)[R][C], const float* a, int64_t row,
                                                              int64_t step, const float* b, int64_t ldb,
                                                              int64_t depth) {
  for (int64_t k = 0; k < depth; ++k) {
    vf right[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) right[c] = load(b + k * ldb + c * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      vf left = splat(a[r * row + k * step]);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sums[r][c] += left * right[c];
    }
  }
}

// Adds the R x R corner of a product with a lower triangle: row r takes k = 0..r. What lies above the diagonal
// is not touched, so a NaN of a later token stays out of the sums of an earlier one.
template <int R, int C>
static inline __attribute__((always_inline)) void add_lower_corner(vf (&sums)[R][C], const float* a, int64_t row,
                                                                   const float* b, int64_t ldb) {
#pragma GCC unroll 8
  for (int k = 0; k < R; ++k) {
    vf right[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) right[c] = load(b + k * ldb + c * kWidth);
#pragma GCC unroll 8
    for (int r = k; r < R; ++r) {
      vf left = splat(a[r * row + k]);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sums[r][c] += left * right[c];
    }
  }
}

// The same with the transpose of a lower triangle: row r takes k = r..R-1.
template <int R, int C>
static inline __attribute__((always_inline)) void add_upper_corner(vf (&sums)[R][C], const float* a, int64_t step,
                                                                   const float* b, int64_t ldb) {
#pragma GCC unroll 8
  for (int k = 0; k < R; ++k) {
    vf right[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) right[c] = load(b + k * ldb + c * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r <= k; ++r) {
      vf left = splat(a[r + k * step]);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sums[r][c] += left * right[c];
    }
  }
}

template <int N>
struct Count {
  static constexpr int value = N;
};

template <int C, class Tile>
static inline void tile_rows(int64_t rows, int64_t column, Tile&& tile) {
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) tile(Count<kRows>{}, Count<C>{}, r, column);
  if (rows - r >= 4) {
    tile(Count<4>{}, Count<C>{}, r, column);
    r += 4;
  }
  if (rows - r >= 2) {
    tile(Count<2>{}, Count<C>{}, r, column);
    r += 2;
  }
  if (rows - r >= 1) tile(Count<1>{}, Count<C>{}, r, column);
}

// Calls tile(Count<R>, Count<C>, first row, first column) so that rows x columns are covered once; columns is
// a multiple of the vector width.
template <class Tile>
static inline void for_tiles(int64_t rows, int64_t columns, Tile&& tile) {
  int64_t c = 0;
  for (; c + kColumns * kWidth <= columns; c += kColumns * kWidth) tile_rows<kColumns>(rows, c, tile);
  for (; c < columns; c += kWidth) tile_rows<1>(rows, c, tile);
}

// The first n elements of a row of sums that starts at a column; the rest is padding.
template <int C>
static inline void store_row(float* to, const vf (&sums)[C], int64_t column, int64_t n) {
  for (int c = 0; c < C; ++c) {
    int64_t at = column + c * kWidth;
    if (at + kWidth <= n) {
      store(to + at, sums[c]);
    } else {
      store_part(to + at, sums[c], n - at);
    }
  }
}

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

// to = factor * from or factor * silu(from), padded by zeros to whole vectors.
static inline void load_row(const float* from, int64_t n, bool with_silu, float factor, float* to) {
  for (int64_t d = 0; d < n; d += kWidth) {
    vf x = d + kWidth <= n ? load(from + d) : load_part(from + d, n - d);
    if (with_silu) x = silu(x);
    store(to + d, x * factor);
  }
}

static inline void load_rows(const float* from, int64_t stride, int64_t m, int64_t n, bool with_silu, float factor,
                             float* to) {
  for (int64_t i = 0; i < m; ++i) load_row(from + i * stride, n, with_silu, factor, to + i * leading(n));
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

// p[i][j] = a[i] . bt[.][j] for the tiles that touch j <= i; the rest of p is arbitrary.
static inline void lower_product(const float* a, int64_t lda, const float* bt, int64_t depth, int64_t m, float* p) {
  for_tiles(m, padded(m), [=](auto R, auto C, int64_t i, int64_t j) __attribute__((always_inline)) {
    if (j >= i + R.value) return;
    vf sums[R.value][C.value];
    clear(sums);
    add_product(sums, a + i * lda, lda, 1, bt + j, kTokens, depth);
    for (int r = 0; r < R.value; ++r) {
      for (int c = 0; c < C.value; ++c) store(p + (i + r) * kTokens + j + c * kWidth, sums[r][c]);
    }
  });
}

// p[i][j] *= lambda^(i - j) for j <= i.
static inline void decay_lower(float* p, int64_t m, const Powers& powers) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j <= i; j += kWidth) store(p + i * kTokens + j, load(p + i * kTokens + j) * load(powers.row(i) + j));
  }
}

// s = lambda^m s + a^T b over m tokens: a [m][rows] (already weighted by lambda^(m-1-j) or so), b [m][columns],
// s [rows][columns].
static inline void advance(float* s, int64_t lds, int64_t rows, int64_t columns, Factor decay, const float* a,
                           int64_t lda, const float* b, int64_t ldb, int64_t m) {
  for_tiles(rows, columns, [=](auto R, auto C, int64_t d, int64_t e) __attribute__((always_inline)) {
    vf sums[R.value][C.value];
    clear(sums);
    add_product(sums, a + d, 1, lda, b + e, ldb, m);
    for (int r = 0; r < R.value; ++r) {
      for (int c = 0; c < C.value; ++c) {
        float* at = s + (d + r) * lds + e + c * kWidth;
        vf old = load(at);
        store(at, old * decay.high + (old * decay.low + sums[r][c]));
      }
    }
  });
}

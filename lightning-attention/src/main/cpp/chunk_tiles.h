// Products of small matrices, tile by tile in registers: what the chunk kernels are made of.
//
// A tile is kRows x kColumns vectors of sums. Its left operand is read one broadcast element at a time, at any
// row and depth stride (so a transposed left operand costs nothing); its right operand in whole vectors, so
// right operands lie in scratch memory with rows padded by zeros to whole vectors. A sum runs over the depth in
// ascending order whatever the tile, hence results do not depend on the tiling.

// Registers: sums, one row of the right operand, one broadcast. 6*2+2+1 = 15 of 16, 6*4+4+1 = 29 of 32.
constexpr int kRows = 6;

// sums[r][c] += sum over k < depth of a[r * row + k * step] * b[k * ldb + c * kWidth ...]
template <int R, int C>
static inline __attribute__((always_inline)) void add_product(vf (&sums)[R][C], const float* a, int64_t row,
                                                              int64_t step, const float* b, int64_t ldb,
                                                              int64_t depth) {
#pragma GCC unroll 4
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

// `tiles` tiles of R rows from row r on.
template <int R, int C, class Tile>
static inline void tiles_of(Ahead& ahead, int64_t tiles, int64_t& r, int64_t column, Tile&& tile) {
  for (int64_t i = 0; i < tiles; ++i, r += R) {
    ahead.fetch();
    tile(Count<R>{}, Count<C>{}, r, column);
  }
}

template <int C, class Tile>
static inline void tiles_of(Ahead& ahead, int64_t height, int64_t tiles, int64_t& r, int64_t column, Tile&& tile) {
  switch (height) {
    case 6: return tiles_of<6, C>(ahead, tiles, r, column, tile);
    case 5: return tiles_of<5, C>(ahead, tiles, r, column, tile);
    case 4: return tiles_of<4, C>(ahead, tiles, r, column, tile);
    case 3: return tiles_of<3, C>(ahead, tiles, r, column, tile);
    case 2: return tiles_of<2, C>(ahead, tiles, r, column, tile);
    case 1: return tiles_of<1, C>(ahead, tiles, r, column, tile);
  }
}

// As few tiles as possible, of heights that differ by one at most: 32 rows as 6 6 5 5 5 5. A tile of two rows
// would have too few sums under way to hide the latency of a multiply-add.
template <int C, class Tile>
static inline void tile_rows(Ahead& ahead, int64_t rows, int64_t column, Tile&& tile) {
  int64_t tiles = (rows + kRows - 1) / kRows;
  if (tiles == 0) return;
  int64_t low = rows / tiles, higher = rows % tiles, r = 0;
  tiles_of<C>(ahead, low + 1, higher, r, column, tile);
  tiles_of<C>(ahead, low, tiles - higher, r, column, tile);
}

// Calls tile(Count<R>, Count<C>, first row, first column) so that rows x columns are covered once; columns is
// a multiple of the vector width. Before each tile some lines of the next chunk are fetched.
template <class Tile>
static inline void for_tiles(Ahead& ahead, int64_t rows, int64_t columns, Tile&& tile) {
  int64_t c = 0;
  for (; c + kColumns * kWidth <= columns; c += kColumns * kWidth) tile_rows<kColumns>(ahead, rows, c, tile);
  if constexpr (kColumns > 2) {
    for (; c + 2 * kWidth <= columns; c += 2 * kWidth) tile_rows<2>(ahead, rows, c, tile);
  }
  for (; c < columns; c += kWidth) tile_rows<1>(ahead, rows, c, tile);
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

// p[i][j] = a[i] . bt[.][j] for the tiles that touch j <= i; the rest of p is arbitrary.
static inline void lower_product(Ahead& ahead, const float* a, int64_t lda, const float* bt, int64_t depth, int64_t m,
                                 float* p) {
  for_tiles(ahead, m, padded(m), [=](auto R, auto C, int64_t i, int64_t j) __attribute__((always_inline)) {
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
    float* row = p + i * kTokens;
    for (int64_t j = 0; j <= i; j += kWidth) store(row + j, load(row + j) * load(powers.row(i) + j));
  }
}

// A state [rows][columns] that a scan carries: the part that came from this segment, and, where a state entered
// the segment, the sum of both. Keeping them apart gives the same bits whether a sequence goes through its
// segments in order or all at once.
struct Carried {
  float *local, *total, *spare;
  // The state that entered; null for zeros, and then `total` is not used.
  float* base;
  int64_t ld;

  const float* sum(bool first) const { return first ? base : base == nullptr ? local : total; }

  // At the end of a segment: its last state enters the next one. The three buffers change places.
  void enter_next() {
    if (base == nullptr) {
      std::swap(local, spare);
      base = spare;
    } else {
      std::swap(total, base);
    }
  }
};

// local = lambda^m local + a^T b over m tokens (without the first term if this chunk is the first), and
// total = local + lambda^since base, where `since` counts from the start of the segment; a [m][rows] (already
// weighted by lambda^(m-1-j) or so), b [m][columns].
static inline void advance(Ahead& ahead, const Carried& s, int64_t rows, int64_t columns, double log_decay,
                           bool first, int64_t since, const float* a, int64_t lda, const float* b, int64_t ldb,
                           int64_t m) {
  Factor decay(log_decay, m);
  float fade = static_cast<float>(std::exp(log_decay * since));
  for_tiles(ahead, rows, columns, [=](auto R, auto C, int64_t d, int64_t e) __attribute__((always_inline)) {
    vf sums[R.value][C.value];
    clear(sums);
    add_product(sums, a + d, 1, lda, b + e, ldb, m);
    for (int r = 0; r < R.value; ++r) {
      for (int c = 0; c < C.value; ++c) {
        int64_t at = (d + r) * s.ld + e + c * kWidth;
        vf now = sums[r][c];
        if (!first) {
          vf old = load(s.local + at);
          now = old * decay.high + (old * decay.low + now);
        }
        store(s.local + at, now);
        if (s.base != nullptr) store(s.total + at, now + load(s.base + at) * fade);
      }
    }
  });
}

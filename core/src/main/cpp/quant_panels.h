// Products of quantized weights with many rows of activations, which stand in panels of kQuantPanel tokens
// (QuantPanels of quant_layout.h): one vector holds one unit of kWidth tokens, and a unit of a weight row meets them
// all.
//
// A tile of sums is kQuantTileRows weight rows by one panel. Sums within a block of weights are exact integers: of
// pairs of 16 bits in 32 bits where weights have 8; where they have 4, of pairs of bytes in 16 bits over 32 columns
// (eight products of 15 * 127, twice: below 2^15), then in 32. At the end of a block they are scaled and added in
// fp32, which stays in memory: sum -= (scale zero) offset, then sum += integers * (scale x.scale). So an output
// depends on its row and its token alone.
//
// Cost of 64 weights by kWidth tokens: 16 multiply-adds and 16 additions with 4 bits, 32 and 32 with 8, where fp32
// has 64 multiply-adds. A block of kQuantBlockRows rows by kQuantUnits units is unpacked, 52 KiB that the second
// cache holds, for kQuantTokensAtOnce tokens; a stretch of a panel, 16 KiB, stays in the first cache while the block
// goes over it.

constexpr int kQuantVectors = 2;
constexpr int kQuantTileRows = kWidth == 16 ? 12 : 6;
constexpr int64_t kQuantPanel = kQuantVectors * kWidth;
constexpr int64_t kQuantBlockRows = 48;
constexpr int64_t kQuantHalf = kQuantBlockRows / 2;
constexpr int64_t kQuantUnits = 256;                // of 32 bits: four codes of 4 bits or two of 8
constexpr int64_t kQuantStride = kQuantUnits + 16;  // an odd number of cache lines
constexpr int64_t kQuantScales = kQuantUnits * 4 / 32;
constexpr int64_t kQuantTokensAtOnce = 256;

struct QuantTileBlock {
  alignas(64) int32_t units[kQuantBlockRows][kQuantStride];
  float scales[kQuantBlockRows][kQuantScales];
  float zeros[kQuantBlockRows][kQuantScales];  // scale * zero
  alignas(64) float sums[kQuantTokensAtOnce / kQuantPanel][kQuantBlockRows][kQuantPanel];
};

static inline QuantTileBlock& quant_block_of_thread() {
  static thread_local QuantTileBlock block;
  return block;
}

// Keeps integer additions where they are written: the compiler would collect products first, and spill them.
#if defined(L4J_EMULATED) && L4J_WIDTH == 16
#define L4J_IN_ORDER(v)
#else
#define L4J_IN_ORDER(v) asm("" : "+v"(v))
#endif

// sums = sum over the units [from, to) of a block of the products of a unit, as `add` adds them.
template <int R, int V, class Add>
static inline __attribute__((always_inline)) void tile_sums(const int32_t* w, const int32_t* x, int64_t from,
                                                            int64_t to, vi (&sums)[R][V], Add add) {
  clear(sums);
#pragma GCC unroll 1
  for (int64_t u = from; u < to; ++u) {
    vs xv[V];
    for (int v = 0; v < V; ++v) xv[v] = load_s16(reinterpret_cast<const int16_t*>(x + u * kQuantPanel + v * kWidth));
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      vs wv = splat_s32(w[r * kQuantStride + u]);
      for (int v = 0; v < V; ++v) sums[r][v] = add(sums[r][v], wv, xv[v]);
    }
  }
}

template <int R, int V>
static inline __attribute__((always_inline)) void tile_sums_8(const int32_t* w, const int32_t* x, int64_t from,
                                                              int64_t to, vi (&sums)[R][V]) {
  tile_sums(w, x, from, to, sums, [](vi sum, vs a, vs b) __attribute__((always_inline)) { return add_pairs(sum, a, b); });
}

#ifdef L4J_VNNI
template <int R, int V>
static inline __attribute__((always_inline)) void tile_sums_4(const int32_t* w, const int32_t* x, int64_t from,
                                                              int64_t to, vi (&sums)[R][V]) {
  tile_sums(w, x, from, to, sums, [](vi sum, vs a, vs b) __attribute__((always_inline)) { return add_fours(sum, a, b); });
}
#else
template <int R, int V>
static inline __attribute__((always_inline)) void tile_sums_4(const int32_t* w, const int32_t* x, int64_t from,
                                                              int64_t to, vi (&sums)[R][V]) {
  constexpr int kRun = 8;  // units whose sums fit in 16 bits
#pragma GCC unroll 1
  for (int64_t first = from; first < to; first += kRun) {
    fours run[R][V];
#pragma GCC unroll 8
    for (int i = 0; i < kRun; ++i) {
      vs xv[V];
      for (int v = 0; v < V; ++v) {
        xv[v] = load_s16(reinterpret_cast<const int16_t*>(x + (first + i) * kQuantPanel + v * kWidth));
      }
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        vs wv = splat_s32(w[r * kQuantStride + first + i]);
        for (int v = 0; v < V; ++v) {
          run[r][v] = i == 0 ? multiply_fours(wv, xv[v]) : add_fours(run[r][v], wv, xv[v]);
          L4J_IN_ORDER(run[r][v]);
        }
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) {
        vi wide = to_s32(run[r][v]);
        sums[r][v] = first == from ? wide : sums[r][v] + wide;
      }
    }
  }
}
#endif

// What a tile reads: rows of `block` from `row` on, panel `panel` of x from unit `unit` on (a border of blocks).
template <int BITS, int V>
static void quant_tile(const QuantTileBlock& block, int64_t row, const QuantPanels& x, int64_t panel, int64_t unit,
                       int64_t units, int64_t block_units, float (*totals)[kQuantPanel]) {
  constexpr int R = kQuantTileRows;
  const int32_t *w = block.units[row], *q = x.q(panel) + unit * kQuantPanel;
  const float* scales = x.scales(panel) + unit / block_units * kQuantPanel;
  const float* offsets = x.offsets(panel) + unit / block_units * kQuantPanel;
  for (int64_t u = 0, b = 0; u < units; u += block_units, ++b) {
    vi sums[R][V];
    int64_t end = std::min(units, u + block_units);
    BITS == 8 ? tile_sums_8(w, q, u, end, sums) : tile_sums_4(w, q, u, end, sums);
#pragma GCC unroll 2  // left as a loop, the sums would go through memory
    for (int v = 0; v < V; ++v) {
      vf scale = load(scales + b * kQuantPanel + v * kWidth), offset = load(offsets + b * kQuantPanel + v * kWidth);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        float* to = totals[r] + v * kWidth;
        vf total = load(to);
        if (BITS == 4) total = negative_multiply_add(splat(block.zeros[row + r][b]), offset, total);
        store(to, multiply_add(to_floats(sums[r][v]), scale * splat(block.scales[row + r][b]), total));
      }
    }
  }
}
#undef L4J_IN_ORDER

// Columns [k, k + n) of a row as units, and the factors of their blocks; the row behind it is fetched into the cache.
static inline void unpack_row(const QuantMatrix& w, int64_t row, int64_t k, int64_t n, int32_t* units, float* scales,
                              float* zeros) {
  const uint8_t* codes = w.codes + row * w.row_bytes() + k * w.bits / 8;
  for (int64_t i = 0; i < n * w.bits / 8; i += 64) _mm_prefetch(codes + w.row_bytes() + i, _MM_HINT_T0);
  auto to = reinterpret_cast<__m128i*>(units);
  const __m128i low = _mm_set1_epi8(15);
  for (int64_t i = 0; i < n; i += 32) {
    auto from = reinterpret_cast<const __m128i*>(codes + i * w.bits / 8);
    if (w.bits == 4) {
      __m128i both = _mm_loadu_si128(from);
      _mm_storeu_si128(to++, _mm_and_si128(both, low));
      _mm_storeu_si128(to++, _mm_and_si128(_mm_srli_epi16(both, 4), low));
    } else {
      for (int j = 0; j < 2; ++j, to += 2) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepi8_epi16(_mm_loadu_si128(from + j)));
      }
    }
  }
  int64_t first = row * w.blocks + k / w.block;
  for (int64_t b = 0; b < (n + w.block - 1) / w.block; ++b) {
    scales[b] = value(bf16{w.scales[first + b]});
    if (w.bits == 4) zeros[b] = scales[b] * w.zeros[first + b];
  }
}

// The rows of a block: two halves, each of `count` rows of one matrix from `first` on; count[1] may be 0.
struct QuantTileRows {
  const QuantMatrix* matrix[2];
  int64_t first[2], count[2];

  void unpack(int64_t k, int64_t n, QuantTileBlock& block) const {
    for (int half = 0; half < 2; ++half) {
      int64_t whole_tiles = (count[half] + kQuantTileRows - 1) / kQuantTileRows * kQuantTileRows;
      for (int64_t j = 0; j < whole_tiles; ++j) {
        int64_t to = half * kQuantHalf + j, row = first[half] + std::min(j, count[half] - 1);
        unpack_row(*matrix[half], row, k, n, block.units[to], block.scales[to], block.zeros[to]);
      }
    }
  }
};

// block.sums = rows x for panels [first, first + count) of x, at most kQuantTokensAtOnce tokens, `last` of them in
// the last panel.
template <int BITS>
static void multiply_quant_block(const QuantTileRows& rows, const QuantPanels& x, int64_t first, int64_t count,
                                 int64_t last, QuantTileBlock& block) {
  const int64_t columns_a_unit = 16 / BITS, block_units = rows.matrix[0]->block / columns_a_unit;
  std::memset(block.sums, 0, count * sizeof block.sums[0]);
  for (int64_t unit = 0; unit < x.units; unit += kQuantUnits) {
    int64_t units = std::min(kQuantUnits, x.units - unit);
    rows.unpack(unit * columns_a_unit, units * columns_a_unit, block);
    for (int64_t p = 0; p < count; ++p) {
      bool narrow = p + 1 == count && last <= kWidth;
      for (int64_t row = 0; row < kQuantBlockRows; row += kQuantTileRows) {
        if (row % kQuantHalf >= rows.count[row >= kQuantHalf]) continue;
        narrow ? quant_tile<BITS, 1>(block, row, x, first + p, unit, units, block_units, block.sums[p] + row)
               : quant_tile<BITS, kQuantVectors>(block, row, x, first + p, unit, units, block_units,
                                                 block.sums[p] + row);
      }
    }
  }
}

static inline void multiply_quant_rows(const QuantTileRows& rows, const QuantPanels& x, int64_t first, int64_t count,
                                       int64_t last, QuantTileBlock& block) {
  rows.matrix[0]->bits == 8 ? multiply_quant_block<8>(rows, x, first, count, last, block)
                            : multiply_quant_block<4>(rows, x, first, count, last, block);
}

// Up to kQuantBlockRows rows of one matrix from n on.
static inline QuantTileRows rows_of(const QuantMatrix& w, int64_t n, int64_t end) {
  int64_t rows = std::min(kQuantBlockRows, end - n);
  return {{&w, &w},
          {n, n + kQuantHalf},
          {std::min(kQuantHalf, rows), std::max<int64_t>(0, rows - kQuantHalf)}};
}

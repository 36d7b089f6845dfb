// Tiles of quant_panels.h in vector registers. Sums within a block are of pairs of 16 bits in 32 bits where weights
// have 8; where they have 4, of pairs of bytes in 16 bits over 32 columns (eight products of 15 * 127, twice: below
// 2^15), then in 32, or with VNNI of four bytes in 32 bits at once.
//
// Cost of 64 weights by kWidth tokens: 16 multiply-adds and 16 additions with 4 bits, 32 and 32 with 8, where fp32
// has 64 multiply-adds; with VNNI the additions go away.

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
  tile_sums(w, x, from, to, sums, add_pairs);
}

#ifdef L4J_VNNI
template <int R, int V>
static inline __attribute__((always_inline)) void tile_sums_4(const int32_t* w, const int32_t* x, int64_t from,
                                                              int64_t to, vi (&sums)[R][V]) {
  tile_sums(w, x, from, to, sums, add_fours);
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
        add_scaled<BITS>(block, row + r, b, sums[r][v], scale, offset, totals[r] + v * kWidth);
      }
    }
  }
}
#undef L4J_IN_ORDER

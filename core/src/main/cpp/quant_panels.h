// Products of quantized weights with many rows of activations, which stand in panels of kQuantPanel tokens
// (QuantPanels of quant_layout.h): one vector holds one unit of kWidth tokens, and a unit of a weight row meets them
// all.
//
// A tile of sums is kQuantTileRows weight rows by one panel, in registers (quant_vector_tiles.h) or in tiles of AMX
// (quant_amx_tiles.h). Sums within a block of weights are exact integers. At the end of a block they are scaled and
// added in fp32, which stays in memory: sum -= (scale zero) offset, then sum += integers * (scale x.scale). So an
// output depends on its row and its token alone, and is the same on every instruction set.
//
// A block of kQuantBlockRows rows by kQuantUnits units is unpacked, 52 KiB (AMX: 70) that the second cache holds, for
// kQuantTokensAtOnce tokens; a stretch of a panel, 16 KiB (32 with 16 lanes), stays in the first cache while the block
// goes over it.

constexpr int kQuantVectors = 2;
#ifdef L4J_TILES
constexpr int kQuantTileRows = 32;
constexpr int64_t kQuantBlockRows = 64;
constexpr bool kQuantBytes = true;  // codes of 8 bits stay bytes, and integers of 16 bits are two of them
#else
constexpr int kQuantTileRows = kWidth == 16 ? 12 : 6;
constexpr int64_t kQuantBlockRows = 48;
constexpr bool kQuantBytes = false;
#endif
constexpr int64_t kQuantPanel = kQuantVectors * kWidth;
constexpr int64_t kQuantHalf = kQuantBlockRows / 2;
constexpr int64_t kQuantUnits = 256;  // of 32 bits, of a panel: four columns against 4 bits, two against 8
constexpr int64_t kQuantStride = kQuantUnits + 16;  // an odd number of cache lines
constexpr int64_t kQuantScales = kQuantUnits * 4 / 32;
constexpr int64_t kQuantTokensAtOnce = 256;

// With 8 bits in bytes the units of weights are half as many as those of a panel.
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

// total += sums of block b of a row, given what its token has for that block.
template <int BITS>
static inline __attribute__((always_inline)) void add_scaled(const QuantTileBlock& block, int64_t row, int64_t b,
                                                             vi sums, vf scale, vf offset, float* total) {
  vf before = load(total);
  if (BITS == 4) before = negative_multiply_add(splat(block.zeros[row][b]), offset, before);
  store(total, multiply_add(to_floats(sums), scale * splat(block.scales[row][b]), before));
}

#ifdef L4J_TILES
#include "quant_amx_tiles.h"
#else
#include "quant_vector_tiles.h"
#endif

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
    } else if (kQuantBytes) {
      for (int j = 0; j < 2; ++j) _mm_storeu_si128(to++, _mm_loadu_si128(from + j));
    } else {
      for (int j = 0; j < 2; ++j, to += 2) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepi8_epi16(_mm_loadu_si128(from + j)));
      }
    }
  }
  if (kQuantBytes) std::memset(to, 0, 32);  // where 32 columns are left, products take 64
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
#ifdef L4J_TILES
  tiles::Session session(std::min<int64_t>(64, rows.matrix[0]->block));
#endif
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

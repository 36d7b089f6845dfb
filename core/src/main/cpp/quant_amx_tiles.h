// Tiles of quant_panels.h in the tiles of AMX (tiles.h): 32 rows of weights by 16 or 32 tokens.
//
// A panel is a right operand as it lies: four columns of a token are one unit, and 16 units by 16 tokens one tile. 4
// bits: codes, unsigned, by signed bytes, four products for 32 x 32 sums. 8 bits: activations of 16 bits are x = 256
// high + low, bytes with a sign and without; a panel has the high bytes of four columns in one unit and their low ones
// in the next, two products each give sums of 32 x 16, and 256 high + low stays below 2^31 as the whole sum does. A
// block of 64 weights is one product deep, one of 128 two; for blocks of 32 tiles are half as deep.
//
// Vectors scale the sums of one block while tiles make those of the next. In cycles for 32 x 32 sums over a block, a
// product at 16, a load of a tile at 8, two vector operations at 1:
//
//                  products   loads   stores   vectors   multiply-adds a cycle by the largest
//   4 bits/32         64        32      64       128       256
//   4 bits/64         64        32      64       128       512
//   4 bits/128       128        64      64       128     1,024
//   8 bits/32        128        64     128       160       205
//   8 bits/64        128        64     128       160       410
//   8 bits/128       256       128     128       160       512
//
// Registers alone (quant_vector_tiles.h, 12 x 32 sums, blocks of 64) come to 55 and 31 with 4 and 8 bits, with VNNI to
// 102 and 59.

constexpr int64_t kTileWords = 16 * 16;

// Four tiles of sums over a block, tile by tile: with 4 bits of rows 0 to 16 and 16 to 32 by 16 tokens, then by the
// next 16; with 8 bits of high, then of low bytes by 16 tokens.
template <int BITS, bool TWO>
static inline void block_products(const int32_t* w, const int32_t* x, int64_t products, int64_t depth,
                                  int32_t* sums) {
  constexpr int kParts = BITS / 4;  // units of a panel for one of weights
  constexpr int64_t kSecond = BITS == 8 ? kQuantPanel : kWidth;
  tiles::zero<0>();
  tiles::zero<1>();
  if (TWO) tiles::zero<2>(), tiles::zero<3>();
  for (int64_t i = 0; i < products; ++i, w += depth, x += kParts * depth * kQuantPanel) {
    tiles::load<4>(w, kQuantStride);
    tiles::load<5>(w + 16 * kQuantStride, kQuantStride);
    tiles::load<6>(x, kParts * kQuantPanel);
    if (TWO) tiles::load<7>(x + kSecond, kParts * kQuantPanel);
    if constexpr (BITS == 8) {
      tiles::multiply_add_ss<0, 4, 6>();
      tiles::multiply_add_ss<1, 5, 6>();
      tiles::multiply_add_su<2, 4, 7>();
      tiles::multiply_add_su<3, 5, 7>();
    } else {
      tiles::multiply_add_us<0, 4, 6>();
      tiles::multiply_add_us<1, 5, 6>();
      if (TWO) tiles::multiply_add_us<2, 4, 7>(), tiles::multiply_add_us<3, 5, 7>();
    }
  }
  tiles::store<0>(sums, 16);
  tiles::store<1>(sums + kTileWords, 16);
  if (TWO) tiles::store<2>(sums + 2 * kTileWords, 16), tiles::store<3>(sums + 3 * kTileWords, 16);
}

static inline vi load_sums(const int32_t* p) { return (vi)load(reinterpret_cast<const float*>(p)); }

// As in quant_vector_tiles.h, for rows of weights in bytes.
template <int BITS, int V>
static void quant_tile(const QuantTileBlock& block, int64_t row, const QuantPanels& x, int64_t panel, int64_t unit,
                       int64_t units, int64_t block_units, float (*totals)[kQuantPanel]) {
  constexpr int kParts = BITS / 4;
  constexpr int kSteps = BITS == 8 ? V : 1, kAtOnce = V / kSteps;  // groups of kWidth tokens
  const int32_t* q = x.q(panel) + unit * kQuantPanel;
  const float* scales = x.scales(panel) + unit / block_units * kQuantPanel;
  const float* offsets = x.offsets(panel) + unit / block_units * kQuantPanel;
  const int64_t depth = std::min<int64_t>(16, block_units / kParts), blocks = (units + block_units - 1) / block_units;
  alignas(64) int32_t sums[2][4 * kTileWords];
  auto make = [&](int64_t step) {
    int64_t b = step / kSteps, v = step % kSteps, u = b * block_units;
    int64_t products = (std::min(units - u, block_units) / kParts + depth - 1) / depth;
    block_products<BITS, BITS == 8 || V == 2>(block.units[row] + u / kParts, q + u * kQuantPanel + v * kWidth, products,
                                              depth, sums[step & 1]);
  };
  auto use = [&](int64_t step) {
    int64_t b = step / kSteps;
    for (int i = 0; i < kAtOnce; ++i) {
      int64_t token = (step % kSteps + i) * kWidth;
      vf scale = load(scales + b * kQuantPanel + token), offset = load(offsets + b * kQuantPanel + token);
      const int32_t* from = sums[step & 1] + i * 2 * kTileWords;
#pragma GCC unroll 4
      for (int r = 0; r < kQuantTileRows; ++r) {
        vi sum = load_sums(from + r * 16);
        if (BITS == 8) sum = sum * 256 + load_sums(from + 2 * kTileWords + r * 16);
        add_scaled<BITS>(block, row + r, b, sum, scale, offset, totals[r] + token);
      }
    }
  };
  for (int64_t step = 0; step <= blocks * kSteps; ++step) {
    if (step < blocks * kSteps) make(step);
    if (step > 0) use(step - 1);
  }
}

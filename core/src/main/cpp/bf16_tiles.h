// Products of bf16 weights with many rows of activations ("tokens") on AMX tiles.
//
//   x = x_1 + .. + x_parts, all bf16        <w, x> = sum over parts of sum_k w_k x_k,part, summed in fp32
//
// Weights are exact. Three parts hold the 24 bits of an activation, so products are those of fp32; two hold 16, one 8.
// Activations beyond the largest bf16 (3.39e38) count as infinite; subnormals count as zeros.
//
// Tokens stand in panels of 32. A step of 32 columns of a panel is two right operands of 1 KiB a part, side by side,
// [16 pairs of columns][16 tokens] for either half of the tokens. A left operand is 16 weight rows of a step, copied
// from the rows in memory to 1 KiB on end.
//
// A block of 64 rows by 128 columns, 16 KiB, and a stretch of a panel, 24 KiB, meet in the first cache: 32 rows by 32
// tokens are four tiles of sums, four products a part (64 cycles), two loads for all parts and two a part (64 of 192
// cycles with three). From the second cache come, for 32 x 32 x 128 sums (768 cycles), 12 KiB of panels and 8 KiB of
// sums: 27 bytes a cycle, of the 48 it gives.
#if L4J_WIDTH == 16

constexpr int64_t kBf16Panel = 32;
constexpr int64_t kBf16Step = 32;
constexpr int64_t kBf16Half = 32;  // rows that four tiles of sums hold
constexpr int64_t kBf16Rows = 2 * kBf16Half;
constexpr int64_t kBf16Columns = 128;
constexpr int64_t kBf16Tokens = 256;  // that a block of weights is copied for
constexpr int64_t kBf16Words = 256;   // of an operand

static inline int64_t bf16_depth(int64_t K) { return (K + kBf16Step - 1) / kBf16Step * kBf16Step; }

struct Bf16Block {
  alignas(64) uint32_t weights[kBf16Rows / 16][kBf16Columns / kBf16Step][kBf16Words];
  alignas(64) float sums[kBf16Tokens / kBf16Panel][kBf16Rows][kBf16Panel];
};

static inline Bf16Block& bf16_block_of_thread() {
  static thread_local Bf16Block block;
  return block;
}

// `all` panels in stretches of kBf16Columns columns, all panels of a stretch side by side; a pass goes over `count` of
// them from `first` on, the last one with `last` tokens.
struct Bf16Panels {
  uint32_t* memory;
  int64_t parts, depth, all, first, count, last;

  static int64_t words(int64_t parts, int64_t K) { return bf16_depth(K) * parts * kBf16Panel / 2; }

  // Where the step of column k of panel p begins; k is a multiple of kBf16Step.
  uint32_t* at(int64_t k, int64_t p) const {
    int64_t start = k / kBf16Columns * kBf16Columns, columns = std::min(kBf16Columns, depth - start);
    return memory + (start * all + (first + p) * columns + k - start) * parts * (kBf16Panel / 2);
  }
};

static inline vi transposed_step(vi a, vi b, bool upper) {
  return upper ? __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
               : __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// Four times row i beside row i + 8, lane by lane.
static inline void transpose(vi (&x)[16]) {
  for (int round = 0; round < 4; ++round) {
    vi y[16];
    for (int i = 0; i < 8; ++i) {
      y[2 * i] = transposed_step(x[i], x[i + 8], false);
      y[2 * i + 1] = transposed_step(x[i], x[i + 8], true);
    }
    for (int i = 0; i < 16; ++i) x[i] = y[i];
  }
}

static inline vi bf16_bits(vf x) {
  vi bits = (vi)x, rounded = ((bits + (0x7fff + ((bits >> 16) & 1))) >> 16) & 0xffff;
  return x == x ? rounded : vi{} + 0x7fc0;
}

constexpr int64_t kBf16Parts = 3;  // at most

// The parts of x, as bits of bf16 in the lower halves of lanes.
static inline void bf16_split(vf x, int64_t parts, vi (&to)[kBf16Parts]) {
  to[0] = bf16_bits(x);
  vf rest = (to[0] & 0x7f80) == 0x7f80 ? vf{} : x - (vf)(to[0] << 16);
  for (int64_t i = 1; i < parts; ++i) {
    to[i] = bf16_bits(rest);
    rest -= (vf)(to[i] << 16);
  }
}

// Words j = elements 2 j and 2 j + 1 of two vectors.
static inline vi pairs_of(vi a, vi b) {
  vi even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  vi odd = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return even | (odd << 16);
}

static inline void store_words(uint32_t* to, vi words) { std::memcpy(to, &words, sizeof words); }

// Panel p of tokens, token t < kBf16Panel at row(t), which has K columns.
template <class Row>
static inline void pack_bf16_panel(const Bf16Panels& x, int64_t p, int64_t K, Row row) {
  for (int64_t k = 0; k < x.depth; k += kBf16Step) {
    uint32_t* step = x.at(k, p);
    for (int64_t half = 0; half < 2; ++half) {
      vi words[kBf16Parts][16];
      for (int64_t t = 0; t < 16; ++t) {
        const float* from = row(half * 16 + t) + k;
        vi first[kBf16Parts], second[kBf16Parts];
        bf16_split(load_next(from, std::min<int64_t>(K - k, kWidth)), x.parts, first);
        bf16_split(K - k > kWidth ? load_next(from + kWidth, K - k - kWidth) : vf{}, x.parts, second);
        for (int64_t i = 0; i < x.parts; ++i) words[i][t] = pairs_of(first[i], second[i]);
      }
      for (int64_t i = 0; i < x.parts; ++i) {
        transpose(words[i]);
        uint32_t* to = step + (2 * i + half) * kBf16Words;
        for (int64_t j = 0; j < 16; ++j) store_words(to + j * 16, words[i][j]);
      }
    }
  }
}

// The rows of a block: two halves, each of `count` rows of one matrix from `first` on; count[1] may be 0. The block
// after it has the rows `ahead` further on.
struct Bf16Rows {
  const bf16* matrix[2];
  int64_t ld[2], first[2], count[2], ahead;

  // Columns [k, k + n); what is missing to whole operands becomes zeros.
  void copy(int64_t k, int64_t n, Bf16Block& block) const {
    for (int64_t j = 0; j < kBf16Rows; ++j) {
      int64_t half = j / kBf16Half, row = j % kBf16Half;
      if (count[half] == 0) continue;
      const bf16* from = matrix[half] + (first[half] + row) * ld[half] + k;
      for (int64_t i = 0; i < n; i += kBf16Step) {
        uint32_t* to = block.weights[j / 16][i / kBf16Step] + j % 16 * 16;
        int64_t valid = row < count[half] ? std::min(kBf16Step, n - i) : 0;
        if (valid < kBf16Step) std::memset(to, 0, 64);
        std::memcpy(to, from + i, valid * sizeof(bf16));
      }
    }
  }

  // Row j of the block `rows` further on, from column k on, into the second cache; what lies beyond is not looked at.
  void fetch(int64_t j, int64_t rows, int64_t k) const {
    int64_t half = j / kBf16Half;
    auto from = reinterpret_cast<const char*>(matrix[half] + (first[half] + j % kBf16Half + rows) * ld[half] + k);
    for (int64_t i = 0; i < kBf16Columns * 2; i += 64) _mm_prefetch(from + i, _MM_HINT_T1);
  }
};

// sums (+)= 32 rows of a block by `steps` steps of a panel, of which 16 tokens where V is 1.
template <int V>
static inline void bf16_product(const uint32_t (*upper)[kBf16Words], const uint32_t (*lower)[kBf16Words],
                                const uint32_t* x, int64_t steps, int64_t parts, float (*sums)[kBf16Panel],
                                bool add) {
  constexpr int64_t kLower = 16 * kBf16Panel;
  float* to = sums[0];
  if (add) {
    tiles::load<0>(to, kBf16Panel);
    tiles::load<2>(to + kLower, kBf16Panel);
    if constexpr (V == 2) tiles::load<1>(to + 16, kBf16Panel);
    if constexpr (V == 2) tiles::load<3>(to + kLower + 16, kBf16Panel);
  } else {
    tiles::zero<0>();
    tiles::zero<1>();
    tiles::zero<2>();
    tiles::zero<3>();
  }
  for (int64_t s = 0; s < steps; ++s) {
    tiles::load<4>(upper[s], 16);
    tiles::load<5>(lower[s], 16);
    for (int64_t i = 0; i < parts; ++i, x += 2 * kBf16Words) {
      tiles::load<6>(x, 16);
      if constexpr (V == 2) tiles::load<7>(x + kBf16Words, 16);
      tiles::multiply_add<0, 4, 6>();
      tiles::multiply_add<2, 5, 6>();
      if constexpr (V == 2) tiles::multiply_add<1, 4, 7>();
      if constexpr (V == 2) tiles::multiply_add<3, 5, 7>();
    }
  }
  tiles::store<0>(to, kBf16Panel);
  tiles::store<2>(to + kLower, kBf16Panel);
  if constexpr (V == 2) tiles::store<1>(to + 16, kBf16Panel);
  if constexpr (V == 2) tiles::store<3>(to + kLower + 16, kBf16Panel);
}

// block.sums = rows x for the panels of a pass, within a tiles::Session; rows have K columns. Meanwhile the columns that
// come next are fetched, a share of the rows with each panel: those of this block, or the first ones of the next.
static void multiply_bf16_rows(const Bf16Rows& rows, const Bf16Panels& x, int64_t K, Bf16Block& block) {
  for (int64_t k = 0; k < x.depth; k += kBf16Columns) {
    int64_t steps = std::min(kBf16Columns, x.depth - k) / kBf16Step;
    bool more = k + kBf16Columns < x.depth;
    rows.copy(k, std::min(kBf16Columns, K - k), block);
    for (int64_t p = 0; p < x.count; ++p) {
      for (int64_t j = p * kBf16Rows / x.count; j < (p + 1) * kBf16Rows / x.count; ++j) {
        rows.fetch(j, more ? 0 : rows.ahead, more ? k + kBf16Columns : 0);
      }
      bool narrow = p + 1 == x.count && x.last <= 16;
      for (int half = 0; half < 2; ++half) {
        if (rows.count[half] == 0) continue;
        auto upper = block.weights[2 * half], lower = block.weights[2 * half + 1];
        float (*sums)[kBf16Panel] = block.sums[p] + half * kBf16Half;
        narrow ? bf16_product<1>(upper, lower, x.at(k, p), steps, x.parts, sums, k > 0)
               : bf16_product<2>(upper, lower, x.at(k, p), steps, x.parts, sums, k > 0);
      }
    }
  }
}

// The sums of `tokens` tokens and the first `rows` rows, to out[token * ldo + row].
static inline void store_bf16_sums(const Bf16Block& block, int64_t tokens, int64_t rows, float* out, int64_t ldo) {
  for (int64_t t = 0; t < tokens; t += 16) {
    for (int64_t r = 0; r < rows; r += 16) {
      vi sums[16];
      for (int64_t i = 0; i < 16; ++i) {
        sums[i] = (vi)load(block.sums[t / kBf16Panel][r + i] + t % kBf16Panel);
      }
      transpose(sums);
      for (int64_t i = 0; i < std::min<int64_t>(16, tokens - t); ++i) {
        store_next(out + (t + i) * ldo + r, (vf)sums[i], rows - r);
      }
    }
  }
}

// Up to kBf16Rows rows of one matrix from n on.
static inline Bf16Rows bf16_rows_of(const bf16* w, int64_t ldw, int64_t n, int64_t end) {
  int64_t rows = std::min(kBf16Rows, end - n);
  return {{w, w},
          {ldw, ldw},
          {n, n + kBf16Half},
          {std::min(kBf16Half, rows), std::max<int64_t>(0, rows - kBf16Half)},
          kBf16Rows};
}

#endif

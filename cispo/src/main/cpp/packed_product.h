// One tile of a matrix product, c[m, n] (+)= sum_k a[m, k] b[n, k]: the blocked product of Goto and van de
// Geijn (2008). Operands of fp32 or bf16 are copied, kDepth of K at a time, into fp32 panels in which the kernel
// reads from first to last: a in panels of kPanelA rows, b in panels of kPanelB. A block of kPanelA x kPanelB sums
// stays in registers for kDepth steps: 2 loads and kPanelA broadcasts for 2 kPanelA multiply-adds of vectors.
//
// Numerics: fp32. Each element is a sum over k from first to last, in partial sums of kDepth, whatever the tile:
// results do not depend on how the product was cut into tiles. Missing rows of a panel are zeros.

constexpr int64_t kDepth = 256;
constexpr int kPanelA = L4J_WIDTH == 8 ? 6 : 12;
constexpr int kPanelB = 2 * kWidth;

// Rows of which all the numbers given are 0.
struct Rows {
  const float* one;    // null for no rows
  const float* other;  // null for none
  bool contain(int64_t row) const { return one && one[row] == 0 && (!other || other[row] == 0); }
};

// Where element (i, k) of an operand lies: at data[i * stride + k], or where transposed at data[k * stride + i].
struct Side {
  const void* data;
  int type;
  int64_t stride;
  bool transposed;
  Rows zeros = {};  // of a transposed operand, the rows k to be taken as zeros
};

// Lanes that have bit D clear from a, the others from b, D places further down; and the lanes that this leaves.
template <int D, int... L>
static inline vf low_lanes(vf a, vf b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, ((L & D) ? kWidth + L - D : L)...);
}
template <int D, int... L>
static inline vf high_lanes(vf a, vf b, std::integer_sequence<int, L...>) {
  return __builtin_shufflevector(a, b, ((L & D) ? kWidth + L : L + D)...);
}

// Rows become columns, in log2(kWidth) exchanges.
template <int D>
static inline void transpose(vf (&x)[kWidth]) {
  constexpr auto lanes = std::make_integer_sequence<int, kWidth>();
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) {
    if ((i & D) == 0) {
      vf low = low_lanes<D>(x[i], x[i + D], lanes);
      x[i + D] = high_lanes<D>(x[i], x[i + D], lanes);
      x[i] = low;
    }
  }
  if constexpr (D > 1) transpose<D / 2>(x);
}

// kWidth rows or fewer, each dense along k, into a panel R wide: a vector may spill over into the next column of the
// panel, which is written after it.
template <class T, int R>
static inline void pack_rows(const T* from, int64_t stride, int rows, int64_t depth, float* to) {
  for (int64_t k = 0; k < depth; k += kWidth) {
    vf x[kWidth];
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) x[i] = i < rows ? load_next(from + i * stride + k, depth - k) : vf{};
    transpose<kWidth / 2>(x);
    int64_t columns = std::min<int64_t>(kWidth, depth - k);
    for (int64_t i = 0; i < columns; ++i) store(to + (k + i) * R, x[i]);
  }
}

template <class T, int R>
static void pack_typed(const T* from, const Side& side, int64_t first_k, int64_t rows, int64_t depth, float* to) {
  int64_t stride = side.stride;
  for (int64_t r = 0; r < rows; r += R, to += R * depth) {
    int64_t here = std::min<int64_t>(R, rows - r);
    if (side.transposed) {
      for (int64_t k = 0; k < depth; ++k) {
        if (side.zeros.contain(first_k + k)) {
          std::fill_n(to + k * R, R, 0.0f);
          continue;
        }
        for (int64_t i = 0; i < R; i += kWidth) {
          int64_t left = std::max<int64_t>(here - i, 0);
          // Reading a whole vector is safe where the next row of the operand follows.
          bool whole = left >= kWidth || (R < kWidth && r + kWidth <= rows);
          store(to + k * R + i, whole ? load(from + k * stride + r + i) : load_part(from + k * stride + r + i, left));
        }
      }
    } else {
      for (int64_t i = 0; i < R; i += kWidth) {
        int count = static_cast<int>(std::clamp<int64_t>(here - i, 0, std::min(R, kWidth)));
        pack_rows<T, R>(from + (r + i) * stride, stride, count, depth, to + i);
      }
    }
  }
}

// Rows [first, first + rows) and columns [k, k + depth) of an operand, in panels of R.
template <int R>
static void pack(const Side& side, int64_t first, int64_t rows, int64_t k, int64_t depth, float* to) {
  int64_t offset = side.transposed ? k * side.stride + first : first * side.stride + k;
  if (side.type == kBF16) {
    pack_typed<bf16, R>(static_cast<const bf16*>(side.data) + offset, side, k, rows, depth, to);
  } else {
    pack_typed<float, R>(static_cast<const float*>(side.data) + offset, side, k, rows, depth, to);
  }
}

// A block of kPanelA x kPanelB of c, of which rows x columns are there.
static inline void multiply_panels(const float* a, const float* b, int64_t depth, float* c, int64_t stride, int rows,
                                   int columns, bool add) {
  vf acc[kPanelA][2];
  clear(acc);
  for (int64_t k = 0; k < depth; ++k, a += kPanelA, b += kPanelB) {
    vf low = load(b), high = load(b + kWidth);
#pragma GCC unroll 16
    for (int i = 0; i < kPanelA; ++i) {
      vf x = splat(a[i]);
      acc[i][0] += x * low;
      acc[i][1] += x * high;
    }
  }
  if (rows == kPanelA && columns == kPanelB) {
#pragma GCC unroll 16
    for (int i = 0; i < kPanelA; ++i) {
      float* row = c + i * stride;
      store(row, add ? load(row) + acc[i][0] : acc[i][0]);
      store(row + kWidth, add ? load(row + kWidth) + acc[i][1] : acc[i][1]);
    }
    return;
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) {
      float sum = acc[i][j / kWidth][j % kWidth];
      c[i * stride + j] = add ? c[i * stride + j] + sum : sum;
    }
  }
}

static constexpr int64_t panels(int64_t rows, int64_t width) { return (rows + width - 1) / width; }

// c is rows x columns; rows at most kTileA, columns at most kTileB; scratch as large as kScratch says.
constexpr int64_t kTileA = 480;
constexpr int64_t kTileB = 512;
static_assert(kTileA % kPanelA == 0 && kTileB % kPanelB == 0, "whole panels");
constexpr int64_t kScratch = (kTileA + kTileB) * kDepth + kWidth;  // floats; a vector may spill over at the end

static void multiply_tile(const Side& a, int64_t first_a, int64_t rows, const Side& b, int64_t first_b,
                          int64_t columns, int64_t K, float* c, int64_t stride, bool add, float* scratch) {
  float* packed_b = scratch;
  float* packed_a = scratch + kTileB * kDepth;
  for (int64_t k = 0; k < K; k += kDepth) {
    int64_t depth = std::min(kDepth, K - k);
    pack<kPanelB>(b, first_b, columns, k, depth, packed_b);
    pack<kPanelA>(a, first_a, rows, k, depth, packed_a);
    for (int64_t j = 0; j < panels(columns, kPanelB); ++j) {
      int wide = static_cast<int>(std::min<int64_t>(kPanelB, columns - j * kPanelB));
      for (int64_t i = 0; i < panels(rows, kPanelA); ++i) {
        int tall = static_cast<int>(std::min<int64_t>(kPanelA, rows - i * kPanelA));
        multiply_panels(packed_a + i * kPanelA * depth, packed_b + j * kPanelB * depth, depth,
                        c + i * kPanelA * stride + j * kPanelB, stride, tall, wide, add || k > 0);
      }
    }
  }
}

// Walsh-Hadamard transforms of blocks: y = scale H_n x, n = 2^k or 12 2^k; y may be x.
//
// Stages of a transform of 2^k: those within a vector exchange lanes and take one shuffle and one multiply-add
// each; the others run across the vectors held in registers, up to kRadix of them a pass. A block of 512 so
// takes two passes with 16 lanes and stays in the first-level cache between them; only the first reads the
// input and only the last scales, so the floor is memory: one read, one write.
//
// Order 12 is Paley's second construction over five elements: symmetric, so the transform remains its own
// inverse. With C the symmetric conference matrix of order 6 and s = a + b, d = a - b for pairs (a, b):
//   y_i = sum_j C_ij (s_j, d_j) + (d_i, -s_i)
// Sums are fp32 in one fixed order, the same for every vector width: strides 1, 2, 4, ..., then 12 across, then
// one multiplication. HadamardMatrix.java repeats it.

// Lane i takes lane i ^ step.
template <int Step>
static inline vf partners(vf v) {
#if L4J_WIDTH == 16
#define L4J_AT(i) ((i) ^ Step)
  return __builtin_shufflevector(v, v, L4J_AT(0), L4J_AT(1), L4J_AT(2), L4J_AT(3), L4J_AT(4), L4J_AT(5), L4J_AT(6),
                                 L4J_AT(7), L4J_AT(8), L4J_AT(9), L4J_AT(10), L4J_AT(11), L4J_AT(12), L4J_AT(13),
                                 L4J_AT(14), L4J_AT(15));
#else
#define L4J_AT(i) ((i) ^ Step)
  return __builtin_shufflevector(v, v, L4J_AT(0), L4J_AT(1), L4J_AT(2), L4J_AT(3), L4J_AT(4), L4J_AT(5), L4J_AT(6),
                                 L4J_AT(7));
#endif
#undef L4J_AT
}

// v[i] + v[i + step] where bit step of i is clear, v[i - step] - v[i] where it is set.
template <int Step>
static inline vf lane_stage(vf v) {
  vf sign;
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) sign[i] = i & Step ? -1.0f : 1.0f;
  return v * sign + partners<Step>(v);
}

static inline vf lane_stages(vf v) {
  v = lane_stage<1>(v);
  v = lane_stage<2>(v);
  v = lane_stage<4>(v);
#if L4J_WIDTH == 16
  v = lane_stage<8>(v);
#endif
  return v;
}

// One pass over R vectors that lie `apart` floats from one another: log2 R stages, after those within the
// vectors if Lanes.
template <int R, bool Lanes>
static inline void pass(const float* x, float* y, int64_t apart, vf scale) {
  vf v[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    v[r] = load(x + r * apart);
    if (Lanes) v[r] = lane_stages(v[r]);
  }
#pragma GCC unroll 4
  for (int step = 1; step < R; step *= 2) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      if (r & step) continue;
      vf a = v[r], b = v[r + step];
      v[r] = a + b;
      v[r + step] = a - b;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) store(y + r * apart, v[r] * scale);
}

constexpr int64_t kRadix = L4J_WIDTH == 16 ? 16 : 8;  // vectors that a pass holds in half of the registers

// All passes with stride `apart` over a block of n: radix R.
template <bool Lanes>
static void passes(const float* x, float* y, int64_t n, int64_t radix, int64_t apart, vf scale) {
  for (int64_t base = 0; base < n; base += radix * apart) {
    for (int64_t i = base; i < base + apart; i += kWidth) {
      switch (radix) {
        case 1:
          pass<1, Lanes>(x + i, y + i, apart, scale);
          break;
        case 2:
          pass<2, Lanes>(x + i, y + i, apart, scale);
          break;
        case 4:
          pass<4, Lanes>(x + i, y + i, apart, scale);
          break;
        case 8:
          pass<8, Lanes>(x + i, y + i, apart, scale);
          break;
#if L4J_WIDTH == 16
        case 16:
          pass<16, Lanes>(x + i, y + i, apart, scale);
          break;
#endif
      }
    }
  }
}

// A block shorter than a vector.
static void hadamard_short(const float* x, float* y, int64_t n, float scale) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale;
  for (int64_t step = 1; step < n; step *= 2) {
    for (int64_t i = 0; i < n; ++i) {
      if (i & step) continue;
      float a = y[i], b = y[i + step];
      y[i] = a + b;
      y[i + step] = a - b;
    }
  }
}

// A block of n = 2^k.
static void hadamard_block(const float* x, float* y, int64_t n, float scale) {
  if (n < kWidth) return hadamard_short(x, y, n, scale);
  const vf one = splat(1.0f), last = splat(scale);
  int64_t radix = std::min<int64_t>(n / kWidth, kRadix);
  passes<true>(x, y, n, radix, kWidth, radix * kWidth == n ? last : one);
  for (int64_t done = radix * kWidth; done < n; done *= radix) {
    radix = std::min<int64_t>(n / done, kRadix);
    passes<false>(y, y, n, radix, done, done * radix == n ? last : one);
  }
}

// Twelve vectors V of elements E that lie `apart` elements from one another, in place.
template <class V, class E>
static inline void twelve(E* y, int64_t apart, E scale) {
  static constexpr int kConference[6][6] = {{0, 1, 1, 1, 1, 1},   {1, 0, 1, -1, -1, 1}, {1, 1, 0, 1, -1, -1},
                                              {1, -1, 1, 0, 1, -1}, {1, -1, -1, 1, 0, 1}, {1, 1, -1, -1, 1, 0}};
  V s[6], d[6];
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    V a, b;
    std::memcpy(&a, y + 2 * j * apart, sizeof a);
    std::memcpy(&b, y + (2 * j + 1) * apart, sizeof b);
    s[j] = a + b;
    d[j] = a - b;
  }
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    V even = d[i], odd = -s[i];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      if (j == i) continue;
      even = kConference[i][j] > 0 ? even + s[j] : even - s[j];
      odd = kConference[i][j] > 0 ? odd + d[j] : odd - d[j];
    }
    even *= scale;
    odd *= scale;
    std::memcpy(y + 2 * i * apart, &even, sizeof even);
    std::memcpy(y + (2 * i + 1) * apart, &odd, sizeof odd);
  }
}

// A block of n = 12 m, m = 2^k: twelve transforms of m side by side, then one of 12 across them.
static void hadamard_twelve(const float* x, float* y, int64_t m, float scale) {
  for (int64_t r = 0; r < 12; ++r) hadamard_block(x + r * m, y + r * m, m, 1.0f);
  int64_t i = 0;
  for (; i + kWidth <= m; i += kWidth) twelve<vf>(y + i, m, scale);
#if L4J_WIDTH == 16
  for (; i + 8 <= m; i += 8) twelve<avx2::vf>(y + i, m, scale);
#endif
  for (; i < m; ++i) twelve<float>(y + i, m, scale);
}

static inline float hadamard_scale(int64_t n) { return static_cast<float>(1 / std::sqrt(static_cast<double>(n))); }

static inline void hadamard(const float* x, float* y, int64_t n, float scale) {
  n % 12 == 0 ? hadamard_twelve(x, y, n / 12, scale) : hadamard_block(x, y, n, scale);
}

// The pieces of attention over one page of 64 keys: scores of 4 rows x 2 keys in registers, the running maximum
// and sum of each row, then 4 rows x 2 vectors of output. 16-bit elements are widened in registers, all sums
// are fp32. A row sees the keys [from, to) of the page; both rise with the row. A key that a row must not see is
// never multiplied, not even by zero, so what it holds (NaN, infinity) cannot leak.
//
// A row's bits depend on its own query, the keys it sees and the vector width; not on the tile it is in.

static inline __m128 quarter(vf v) {
#if L4J_WIDTH == 16
  __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
#else
  __m256 half = (__m256)v;
#endif
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

// The sums of four vectors, each in the order of sum().
static inline __m128 four_sums(vf a, vf b, vf c, vf d) {
  __m128 qa = quarter(a), qb = quarter(b), qc = quarter(c), qd = quarter(d);
  __m128 ab = _mm_add_ps(_mm_unpacklo_ps(qa, qb), _mm_unpackhi_ps(qa, qb));
  __m128 cd = _mm_add_ps(_mm_unpacklo_ps(qc, qd), _mm_unpackhi_ps(qc, qd));
  return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

// Scores of four rows and two keys.
template <class E>
static inline void score_block(const float* q, const E* k, int64_t row, float scale, float* scores) {
  vf acc[4][2];
  for (int i = 0; i < 4; ++i) acc[i][0] = acc[i][1] = vf{};
  for (int64_t d = 0; d < row; d += kWidth) {
    vf k0 = load(k + d), k1 = load(k + row + d);
    for (int i = 0; i < 4; ++i) {
      vf qv = load(q + i * row + d);
      acc[i][0] += qv * k0;
      acc[i][1] += qv * k1;
    }
  }
  __m128 s0 = _mm_mul_ps(four_sums(acc[0][0], acc[1][0], acc[2][0], acc[3][0]), _mm_set1_ps(scale));
  __m128 s1 = _mm_mul_ps(four_sums(acc[0][1], acc[1][1], acc[2][1], acc[3][1]), _mm_set1_ps(scale));
  __m128 rows01 = _mm_unpacklo_ps(s0, s1), rows23 = _mm_unpackhi_ps(s0, s1);
  _mm_storel_pi(reinterpret_cast<__m64*>(scores), rows01);
  _mm_storeh_pi(reinterpret_cast<__m64*>(scores + kv::kPageTokens), rows01);
  _mm_storel_pi(reinterpret_cast<__m64*>(scores + 2 * kv::kPageTokens), rows23);
  _mm_storeh_pi(reinterpret_cast<__m64*>(scores + 3 * kv::kPageTokens), rows23);
}

// Scores of one row and one key.
template <class E>
static inline float score(const float* q, const E* k, int64_t row, float scale) {
  vf acc{};
  for (int64_t d = 0; d < row; d += kWidth) acc += load(q + d) * load(k + d);
  return sum(acc) * scale;
}

// Scores of a tile and the keys of a page; a row's scores beyond what it sees mean nothing.
template <class E>
static void score_page(const float* q, const E* k, int64_t rows, const kv::Seen& seen, int64_t row, float scale,
                       float* scores) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    for (int64_t j = seen.from[i] & ~1; j < seen.to[i + 3]; j += 2) {
      score_block(q + i * row, k + j * row, row, scale, scores + i * kv::kPageTokens + j);
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = seen.from[i]; j < seen.to[i]; ++j) {
      scores[i * kv::kPageTokens + j] = score(q + i * row, k + j * row, row, scale);
    }
  }
}

static inline float lanes_max(__m256 v) {
  __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  h = _mm_max_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
}

// Folds the upper half onto the lower until one lane is left.
static inline float largest(vf v) {
#if L4J_WIDTH == 16
  __m256 half = _mm256_max_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
#else
  __m256 half = (__m256)v;
#endif
  return lanes_max(half);
}

// The factor that takes sums formed under one maximum to another; where there is no score above -infinity
// yet, the sums are zero and stay so.
static inline vf rescale(float from, float to) { return exp(splat(from - (to == -INFINITY ? 0 : to))); }

static inline void multiply(float* x, vf by, int64_t n) {
  for (int64_t d = 0; d < n; d += kWidth) store(x + d, load(x + d) * by);
}

// Masks the scores of a row but for [from, to), and gives the greatest of them and of `before`.
static inline float mask_row(float* scores, int64_t from, int64_t to, float before) {
  std::fill(scores, scores + from, -INFINITY);
  std::fill(scores + to, scores + kv::kPageTokens, -INFINITY);
  vf m = load(scores);
  for (int64_t j = kWidth; j < kv::kPageTokens; j += kWidth) {
    vf s = load(scores + j);
    m = s > m ? s : m;
  }
  float block = largest(m);
  return block > before ? block : before;
}

// e^x for x <= 0 and NaN, as exp gives it, without what only greater x need.
static inline vf exp_weight(vf x) {
  const vf low = splat(-87.33654f), magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  vf clamped = at_least(x, -87.33654f);
  vf shifted = clamped * splat(1.44269504f) + magic;
  vf n = shifted - magic;
  vf r = clamped - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  vf p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * r * r + r + splat(1.0f);
  vf power = (vf)(((vi)shifted - (vi)magic + 127) << 23);
  return x < low ? vf{} : p * power;
}

// Turns the scores of a row into weights under a maximum; gives their sum.
static inline float weigh_row(float* scores, float max) {
  vf shift = splat(max == -INFINITY ? 0 : max), total{};
#pragma GCC unroll 8
  for (int64_t j = 0; j < kv::kPageTokens; j += kWidth) {
    vf p = exp_weight(load(scores + j) - shift);
    store(scores + j, p);
    total += p;
  }
  return sum(total);
}

template <class E, int Rows, int Vectors>
static inline void value_block(const float* p, const E* v, int64_t from, int64_t to, int64_t row, float* out) {
  vf acc[Rows][Vectors];
  for (int i = 0; i < Rows; ++i) {
    for (int c = 0; c < Vectors; ++c) acc[i][c] = load(out + i * row + c * kWidth);
  }
  for (int64_t j = from; j < to; ++j) {
    vf vv[Vectors];
    for (int c = 0; c < Vectors; ++c) vv[c] = load(v + j * row + c * kWidth);
    for (int i = 0; i < Rows; ++i) {
      vf weight = splat(p[i * kv::kPageTokens + j]);
      for (int c = 0; c < Vectors; ++c) acc[i][c] += weight * vv[c];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int c = 0; c < Vectors; ++c) store(out + i * row + c * kWidth, acc[i][c]);
  }
}

// out[i] += sum of p[i, j] v[j] over keys [from, to) of a page.
template <class E, int Rows>
static inline void value_rows(const float* p, const E* v, int64_t from, int64_t to, int64_t row, float* out) {
  int64_t d = 0;
  for (; d + 2 * kWidth <= row; d += 2 * kWidth) value_block<E, Rows, 2>(p, v + d, from, to, row, out + d);
  for (; d < row; d += kWidth) value_block<E, Rows, 1>(p, v + d, from, to, row, out + d);
}

// out[i] += sum of p[i, j] v[j] over the keys that row i sees; what four rows all see is read once for them.
template <class E>
static void value_page(const float* p, const E* v, int64_t rows, const kv::Seen& seen, int64_t row, float* out) {
  auto one = [&](int64_t i, int64_t from, int64_t to) {
    if (from < to) value_rows<E, 1>(p + i * kv::kPageTokens, v, from, to, row, out + i * row);
  };
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    int64_t from = seen.from[i + 3], to = std::max(from, seen.to[i]);
    for (int64_t b = i; b < i + 4; ++b) one(b, seen.from[b], std::min(from, seen.to[b]));
    if (from < to) value_rows<E, 4>(p + i * kv::kPageTokens, v, from, to, row, out + i * row);
    for (int64_t b = i; b < i + 4; ++b) one(b, std::max(to, seen.from[b]), seen.to[b]);
  }
  for (; i < rows; ++i) one(i, seen.from[i], seen.to[i]);
}

// The running maximum and sum of each row, its outputs behind them.
struct Running {
  float* max;
  float* sum;
  float* out;

  explicit Running(float* partial) : max(partial), sum(partial + kv::kTileRows), out(partial + 2 * kv::kTileRows) {}
};

// Scores of a tile to weights: those that a row sees, the others to zeros; what was summed before is brought under
// the new maxima. All maxima first: a row alone is a chain of latencies.
static inline void softmax_page(float* scores, int64_t rows, const kv::Seen& seen, const Running& into, int64_t row) {
  float max[kv::kTileRows];
  for (int64_t i = 0; i < rows; ++i) {
    if (seen.from[i] == seen.to[i]) continue;
    max[i] = mask_row(scores + i * kv::kPageTokens, seen.from[i], seen.to[i], into.max[i]);
  }
  for (int64_t i = 0; i < rows; ++i) {
    if (seen.from[i] == seen.to[i]) continue;
    if (max[i] != into.max[i]) {
      vf factor = rescale(into.max[i], max[i]);
      into.sum[i] *= factor[0];
      multiply(into.out + i * row, factor, row);
      into.max[i] = max[i];
    }
    into.sum[i] += weigh_row(scores + i * kv::kPageTokens, max[i]);
  }
}

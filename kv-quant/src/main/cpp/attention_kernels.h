// Causal softmax attention of the last T positions over the pages of a cache:
//
//   out[t, h] = sum_s p_s v[s, h / group]     p = softmax over s <= t of scale * (q[t, h] . k[s, h / group])
//
// The query rows (t, h) of one kv head are cut into tiles of 16, the keys into ranges of 512. For a tile and a
// range the pages of 64 keys are taken in order: scores of 4 rows x 2 keys in registers, then the running
// maximum and sum of each row, then 4 rows x 2 vectors of output. 16-bit elements are widened in registers,
// all sums are fp32. The results of the ranges are merged in order.
//
// A row's bits depend on its own query, the keys it sees and the vector width; not on the tile it is in, how
// many queries came with it, or who computed which range. So decode, prefill and any number of threads agree.
//
// Cost: 4 * head_dim operations for each row and key. Decode reads every page once for up to 16 query heads
// of a kv head: its floor is the bytes of the cache. A key that a row must not see is never multiplied, not
// even by zero, so what it holds (NaN, infinity) cannot leak.

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

// Scores of a tile and the keys of a page that its last row sees; a row's scores beyond what it sees mean
// nothing.
template <class E>
static void score_page(const float* q, const E* k, int64_t rows, const int64_t* visible, int64_t row, float scale,
                       float* scores) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    for (int64_t j = 0; j < visible[i + 3]; j += 2) {
      score_block(q + i * row, k + j * row, row, scale, scores + i * kv::kPageTokens + j);
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < visible[i]; ++j) {
      scores[i * kv::kPageTokens + j] = score(q + i * row, k + j * row, row, scale);
    }
  }
}

static inline float largest(vf v) {
  float m = v[0];
  for (int i = 1; i < kWidth; ++i) m = v[i] > m ? v[i] : m;
  return m;
}

// The factor that takes sums formed under one maximum to another; where there is no score above -infinity
// yet, the sums are zero and stay so.
static inline vf rescale(float from, float to) { return exp(splat(from - (to == -INFINITY ? 0 : to))); }

static inline void multiply(float* x, vf by, int64_t n) {
  for (int64_t d = 0; d < n; d += kWidth) store(x + d, load(x + d) * by);
}

// Turns n scores of a row into weights under the running maximum, and rescales what was summed before.
static inline void softmax_step(float* scores, int64_t n, float* max, float* sum_of, float* out, int64_t row) {
  for (int64_t j = n; j < kv::kPageTokens; ++j) scores[j] = -INFINITY;
  vf m = load(scores);
  for (int64_t j = kWidth; j < kv::kPageTokens; j += kWidth) {
    vf s = load(scores + j);
    m = s > m ? s : m;
  }
  float before = *max;
  float block = largest(m);
  *max = block > before ? block : before;
  vf shift = splat(*max == -INFINITY ? 0 : *max);
  vf total{};
  for (int64_t j = 0; j < kv::kPageTokens; j += kWidth) {
    vf p = exp(load(scores + j) - shift);
    store(scores + j, p);
    total += p;
  }
  vf factor = rescale(before, *max);
  *sum_of = *sum_of * factor[0] + sum(total);
  if (factor[0] != 1) multiply(out, factor, row);
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
static void value_page(const float* p, const E* v, int64_t rows, const int64_t* visible, int64_t row, float* out) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    const float* weights = p + i * kv::kPageTokens;
    value_rows<E, 4>(weights, v, 0, visible[i], row, out + i * row);
    for (int64_t b = 1; b < 4; ++b) {
      if (visible[i] == visible[i + b]) continue;
      value_rows<E, 1>(weights + b * kv::kPageTokens, v, visible[i], visible[i + b], row, out + (i + b) * row);
    }
  }
  for (; i < rows; ++i) value_rows<E, 1>(p + i * kv::kPageTokens, v, 0, visible[i], row, out + i * row);
}

// A tile over the keys of one page; visible[i] counts those that row i sees, and rises with i.
template <class E>
static void attend_page(const float* q, const E* k, const E* v, int64_t rows, const int64_t* visible, int64_t row,
                        float scale, float* partial) {
  alignas(64) float scores[kv::kTileRows * kv::kPageTokens];
  float* out = partial + 2 * kv::kTileRows;
  score_page(q, k, rows, visible, row, scale, scores);
  for (int64_t i = 0; i < rows; ++i) {
    if (visible[i] == 0) continue;
    softmax_step(scores + i * kv::kPageTokens, visible[i], partial + i, partial + kv::kTileRows + i, out + i * row,
                 row);
  }
  value_page(scores, v, rows, visible, row, out);
}

template <class E>
static void attend_range(const kv::AttentionCall& call, const kv::Tile& tile, const float* q, int64_t range,
                         float* partial) {
  std::fill(partial, partial + kv::kTileRows, -INFINITY);
  std::fill(partial + kv::kTileRows, partial + call.partial(), 0.0f);
  int64_t end = std::min((range + 1) * kv::kRangeKeys, call.visible(tile.first + tile.count - 1));
  for (int64_t first = range * kv::kRangeKeys; first < end; first += kv::kPageTokens) {
    int64_t visible[kv::kTileRows];
    for (int64_t i = 0; i < tile.count; ++i) {
      visible[i] = std::clamp<int64_t>(call.visible(tile.first + i) - first, 0, kv::kPageTokens);
    }
    int64_t page = first / kv::kPageTokens;
    attend_page(q, call.pages.keys<const E>(page, tile.head), call.pages.values<const E>(page, tile.head),
                tile.count, visible, call.pages.row, static_cast<float>(call.scale), partial);
  }
}

static void attend_range(const kv::AttentionCall& call, const kv::Tile& tile, const float* q, int64_t range,
                         float* partial) {
  switch (call.type) {
    case kF32:
      return attend_range<float>(call, tile, q, range, partial);
    case kBF16:
      return attend_range<bf16>(call, tile, q, range, partial);
    case kF16:
      return attend_range<f16>(call, tile, q, range, partial);
  }
}

// The queries of a tile side by side, padded with zeros.
static void gather_queries(const kv::AttentionCall& call, const kv::Tile& tile, float* q) {
  int64_t row = call.pages.row;
  for (int64_t i = 0; i < tile.count; ++i) {
    int64_t r = tile.first + i;
    const float* from = call.q.at(r / call.group, tile.head * call.group + r % call.group);
    std::copy(from, from + call.head_dim, q + i * row);
    std::fill(q + i * row + call.head_dim, q + (i + 1) * row, 0.0f);
  }
}

// Adds the partial result of a range to that of the ranges before it. Out of line, so that there is one copy
// of this arithmetic.
__attribute__((noinline)) static void merge(const kv::AttentionCall& call, const kv::Tile& tile, int64_t range,
                                            const float* partial, float* into) {
  constexpr int64_t n = kv::kTileRows;
  int64_t row = call.pages.row;
  for (int64_t i = 0; i < tile.count; ++i) {
    if (call.visible(tile.first + i) <= range * kv::kRangeKeys) continue;
    float max = partial[i] > into[i] ? partial[i] : into[i];
    vf old_factor = rescale(into[i], max);
    vf new_factor = rescale(partial[i], max);
    into[i] = max;
    into[n + i] = into[n + i] * old_factor[0] + partial[n + i] * new_factor[0];
    float* to = into + 2 * n + i * row;
    const float* from = partial + 2 * n + i * row;
    for (int64_t d = 0; d < row; d += kWidth) {
      store(to + d, load(to + d) * old_factor + load(from + d) * new_factor);
    }
  }
}

static void write_out(const kv::AttentionCall& call, const kv::Tile& tile, const float* partial) {
  for (int64_t i = 0; i < tile.count; ++i) {
    int64_t r = tile.first + i;
    float* to = call.out.at(r / call.group, tile.head * call.group + r % call.group);
    const float* from = partial + 2 * kv::kTileRows + i * call.pages.row;
    float total = partial[kv::kTileRows + i];
    for (int64_t d = 0; d < call.head_dim; ++d) to[d] = from[d] / total;
  }
}

// Tiles [from, to), each over all its keys.
static void attend_tiles(const kv::AttentionCall& call, int64_t from, int64_t to) {
  alignas(64) float q[kv::kTileRows * kv::kMaxHeadDim];
  alignas(64) float whole[kv::kTileRows * (2 + kv::kMaxHeadDim)];
  alignas(64) float partial[kv::kTileRows * (2 + kv::kMaxHeadDim)];
  for (int64_t item = from; item < to; ++item) {
    kv::Tile tile = kv::Tile::of(call, item);
    gather_queries(call, tile, q);
    attend_range(call, tile, q, 0, whole);
    int64_t end = call.visible(tile.first + tile.count - 1);
    for (int64_t range = 1; range * kv::kRangeKeys < end; ++range) {
      attend_range(call, tile, q, range, partial);
      merge(call, tile, range, partial, whole);
    }
    write_out(call, tile, whole);
  }
}

// Pairs of tile and range: item = tile * ranges + range.
static void attend_ranges(const kv::AttentionCall& call, float* partials, int64_t from, int64_t to) {
  alignas(64) float q[kv::kTileRows * kv::kMaxHeadDim];
  for (int64_t item = from; item < to; ++item) {
    kv::Tile tile = kv::Tile::of(call, item / call.ranges());
    gather_queries(call, tile, q);
    attend_range(call, tile, q, item % call.ranges(), partials + item * call.partial());
  }
}

static void merge_ranges(const kv::AttentionCall& call, float* partials, int64_t from, int64_t to) {
  for (int64_t item = from; item < to; ++item) {
    kv::Tile tile = kv::Tile::of(call, item);
    float* whole = partials + item * call.ranges() * call.partial();
    for (int64_t range = 1; range < call.ranges(); ++range) {
      merge(call, tile, range, whole + range * call.partial(), whole);
    }
    write_out(call, tile, whole);
  }
}

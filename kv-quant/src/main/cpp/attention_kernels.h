// Causal softmax attention of the last T positions over the pages of a cache:
//
//   out[t, h] = sum_s p_s v[s, h / group]     p = softmax over s <= t of scale * (q[t, h] . k[s, h / group])
//
// The query rows (t, h) of one kv head are cut into tiles of 16, the keys into ranges of 512. For a tile and a
// range the pages of 64 keys are taken in order: scores of 4 rows x 3 keys in registers, then the running
// maximum and sum of each row, then 4 rows x 2 vectors of output. 16-bit elements are widened in registers,
// all sums are fp32. The results of the ranges are merged in order.
//
// A row's bits depend on its own query, the keys it sees and the vector width; not on the tile it is in, how
// many queries came with it, or who computed which range. So decode, prefill and any number of threads agree.
//
// Cost: 4 * head_dim operations for each row and key. Decode reads every page once for up to 16 query heads
// of a kv head: its floor is the bytes of the cache. A key that a row must not see is never multiplied, not
// even by zero, so what it holds (NaN, infinity) cannot leak.

template <class E, int Rows, int Keys>
static inline void score_block(const float* q, const E* k, int64_t row, float scale, float* scores) {
  vf acc[Rows][Keys] = {};
  for (int64_t d = 0; d < row; d += kWidth) {
    vf kv[Keys];
    for (int j = 0; j < Keys; ++j) kv[j] = load(k + j * row + d);
    for (int i = 0; i < Rows; ++i) {
      vf qv = load(q + i * row + d);
      for (int j = 0; j < Keys; ++j) acc[i][j] += qv * kv[j];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int j = 0; j < Keys; ++j) scores[i * kv::kPageTokens + j] = sum(acc[i][j]) * scale;
  }
}

// Scores of Rows rows and the first n keys of a page.
template <class E, int Rows>
static inline void score_rows(const float* q, const E* k, int64_t n, int64_t row, float scale, float* scores) {
  int64_t j = 0;
  for (; j + 3 <= n; j += 3) score_block<E, Rows, 3>(q, k + j * row, row, scale, scores + j);
  for (; j < n; ++j) score_block<E, Rows, 1>(q, k + j * row, row, scale, scores + j);
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

// A tile over the keys of one page; visible[i] counts those that row i sees, and rises with i.
template <class E>
static void attend_page(const float* q, const E* k, const E* v, int64_t rows, const int64_t* visible, int64_t row,
                        float scale, float* partial) {
  alignas(64) float scores[kv::kTileRows * kv::kPageTokens];
  float* max = partial;
  float* sums = partial + kv::kTileRows;
  float* out = partial + 2 * kv::kTileRows;
  for (int64_t i = 0; i < rows;) {
    float* s = scores + i * kv::kPageTokens;
    bool four = i + 4 <= rows;
    int64_t block = four ? 4 : 1;
    int64_t last = visible[i + block - 1];
    if (four) {
      score_rows<E, 4>(q + i * row, k, last, row, scale, s);
    } else {
      score_rows<E, 1>(q + i * row, k, last, row, scale, s);
    }
    for (int64_t b = i; b < i + block; ++b) {
      if (visible[b] == 0) continue;
      softmax_step(scores + b * kv::kPageTokens, visible[b], max + b, sums + b, out + b * row, row);
    }
    int64_t common = four ? visible[i] : 0;
    if (four) value_rows<E, 4>(s, v, 0, common, row, out + i * row);
    for (int64_t b = i; b < i + block; ++b) {
      value_rows<E, 1>(scores + b * kv::kPageTokens, v, common, visible[b], row, out + b * row);
    }
    i += block;
  }
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

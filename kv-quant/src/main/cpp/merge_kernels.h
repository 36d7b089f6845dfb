// From ranges to outputs: who computes which range, and how their results become one, always in order.

// Adds the partial result of a range to that of the ranges before it. Out of line, so that there is one copy
// of this arithmetic.
__attribute__((noinline)) static void merge(const kv::AttentionCall& call, const kv::Tile& tile, int64_t range,
                                            const float* partial, float* into) {
  constexpr int64_t n = kv::kTileRows;
  int64_t row = call.cache.exact.row;
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

// Adds the result of a row over this part to that of the parts before it, as they lie in out and log_sum.
static void merge_part(float max, float total, const float* values, int64_t dim, float* log_sum, float* out) {
  if (max == -INFINITY) return;  // saw nothing
  float part = max + std::log(total), before = *log_sum;
  if (before == -INFINITY) {
    std::copy(values, values + dim, out);
    *log_sum = part;
    return;
  }
  float most = before > part ? before : part;
  float old_weight = std::exp(before - most), new_weight = std::exp(part - most), sum = old_weight + new_weight;
  for (int64_t d = 0; d < dim; ++d) out[d] = (out[d] * old_weight + values[d] * new_weight) / sum;
  *log_sum = most + std::log(sum);
}

static void write_out(const kv::AttentionCall& call, const kv::Tile& tile, const float* partial) {
  const kv::Cache& cache = call.cache;
  alignas(64) float values[kv::kTileRows * kv::kMaxHeadDim], came[kv::kTileRows * kv::kMaxHeadDim];
  int64_t dim = cache.head_dim;
  for (int64_t i = 0; i < tile.count; ++i) {
    const float* from = partial + 2 * kv::kTileRows + i * cache.exact.row;
    float total = partial[kv::kTileRows + i];
    for (int64_t d = 0; d < dim; ++d) values[i * dim + d] = from[d] / total;
  }
  if (cache.rotates_values()) {
    hadamard_rows(values, dim, values, dim, dim, dim, 0, tile.count);
  } else if (cache.transform == kv::kDense) {
    in_dense_basis(cache.matrix(kv::kOutBack, tile.head), dim, values, dim, tile.count, came, dim);
  }
  const float* rows = cache.transform == kv::kDense ? came : values;
  for (int64_t i = 0; i < tile.count; ++i) {
    int64_t r = tile.first + i;
    const float* from = rows + i * dim;
    int64_t query = r / call.group, head = tile.head * call.group + r % call.group;
    if (call.log_sums != nullptr) {
      float* log_sum = call.log_sums + query * call.log_sum_query + head;
      merge_part(partial[i], partial[kv::kTileRows + i], from, dim, log_sum, call.out.at(query, head));
    } else {
      std::copy(from, from + dim, call.out.at(query, head));
    }
  }
}

// Tiles [from, to), each over all its keys.
static void attend_tiles(const kv::AttentionCall& call, int64_t from, int64_t to) {
  TileQueries q;
  alignas(64) float whole[kv::kTileRows * (2 + kv::kMaxHeadDim)];
  alignas(64) float partial[kv::kTileRows * (2 + kv::kMaxHeadDim)];
  for (int64_t item = from; item < to; ++item) {
    kv::Tile tile = kv::Tile::of(call, item);
    gather_queries(call, tile, &q);
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
  TileQueries q;
  for (int64_t item = from; item < to; ++item) {
    kv::Tile tile = kv::Tile::of(call, item / call.ranges());
    gather_queries(call, tile, &q);
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

// Scores and values over a packed page, by the kernels that its format has: two_bit_kernels.h, byte_kernels.h, or
// floats.

// What is fetched while something else is computed: a head's part of a page is too short for the hardware to see it
// coming, and all of it at once would wait for free places among the misses in flight.
struct Ahead {
  const char* at = nullptr;
  const char* end = nullptr;

  static Ahead of(const kv::Codec& codec, int64_t page, int64_t unit) {
    const char* at = reinterpret_cast<const char*>(page) + codec.offset + unit * codec.unit_bytes();
    return {at, at + codec.unit_bytes()};
  }
  void fetch(int64_t lines) {
    for (; at < end && lines > 0; at += 64, --lines) _mm_prefetch(at, _MM_HINT_T0);
  }
};

// Scores and values over a packed page by way of floats: rows of 64 tokens.
struct FloatRows {
  alignas(64) float rows[kv::kPageTokens * kv::kMaxHeadDim];

  const float* of(const kv::Codec& codec, int64_t page, int64_t unit, int64_t tokens, int64_t row) {
    unpack_unit(codec, page, unit, tokens, rows, row);
    for (int64_t t = 0; codec.unit < row && t < tokens; ++t) {
      std::fill(rows + t * row + codec.unit, rows + (t + 1) * row, 0.0f);
    }
    return rows;
  }
};

static inline int64_t last_seen(const kv::Tile& tile, const kv::Seen& seen) { return seen.to[tile.count - 1]; }

template <bool Grid, int Tokens>
static inline void tile_scores(const kv::Tile& tile, const kv::Group& group, const SmallRows* q, const float* s,
                               const float* z, const kv::Seen& seen, bool first, Ahead& ahead, float* scores) {
  for (int64_t i = 0; i < tile.count; i += 4) {
    int64_t rows = std::min<int64_t>(4, tile.count - i), to = seen.to[i + rows - 1];
    small_scores<Grid, Tokens>(group, s, z, q[i / 4], rows, to, first, ahead, scores + i * kv::kPageTokens);
  }
}

static inline void small_scores(const kv::Codec& codec, const kv::Tile& tile, const TileQueries& q, int64_t page,
                                const kv::Seen& seen, Ahead ahead, float* scores) {
  float s[kv::kPageTokens], z[kv::kPageTokens];
  for (int64_t g = 0; g < codec.groups(); ++g) {
    kv::Group group = codec.at(page, tile.head, g);
    decode_metadata(codec, group, last_seen(tile, seen), s, z);
    bool grid = codec.zero == kv::kLloydMax, two = tokens_together(group.n) == 2;
    auto of = grid ? two ? tile_scores<true, 2> : tile_scores<true, 1>
                   : two ? tile_scores<false, 2> : tile_scores<false, 1>;
    of(tile, group, q.small[g], s, z, seen, g == 0, ahead, scores);
  }
}

static void packed_scores(const kv::AttentionCall& call, const kv::Tile& tile, const TileQueries& q, int64_t page,
                          const kv::Seen& seen, Ahead ahead, float* scores) {
  const kv::Codec& codec = call.cache.key;
  if (is_small_head(codec)) return small_scores(codec, tile, q, page, seen, ahead, scores);
  int64_t tokens = last_seen(tile, seen), row = call.cache.exact.row;
  if (!is_byte_head(codec)) {
    FloatRows rows;
    score_page(q.rows, rows.of(codec, page, tile.head, tokens, row), tile.count, seen, row,
               static_cast<float>(call.scale), scores);
    ahead.fetch(INT64_MAX);
    return;
  }
  float s[kv::kPageTokens], z[kv::kPageTokens];
  ByteCodes bytes;
  kv::Group group = codec.at(page, tile.head, 0);
  decode_metadata(codec, group, tokens, s, z);
  const uint8_t* codes = bytes.of(codec, group, tokens);
  for (int64_t i = 0; i < tile.count; i += 4) {
    int64_t rows = std::min<int64_t>(4, tile.count - i), to = seen.to[i + rows - 1];
    byte_scores(codes, group.n, s, z, q.words[i / 4], rows, to, scores + i * kv::kPageTokens);
    ahead.fetch(INT64_MAX);
  }
}

alignas(32) static const float kNoWeights[kv::kPageTokens] = {};

static inline const float* weights_of(const kv::Seen& seen, int64_t i, const float* weights) {
  return seen.from[i] < seen.to[i] ? weights + i * kv::kPageTokens : kNoWeights;
}

template <bool Grid, int Vectors>
static inline void tile_values(const kv::Tile& tile, const kv::Seen& seen, const kv::Group& group, const float* s,
                               const float* z, const float* weights, int64_t row, Ahead& ahead, float* out) {
  for (int64_t i = 0; i < tile.count; i += 4) {
    int64_t rows = std::min<int64_t>(4, tile.count - i);
    SmallWeights small;
    for (int64_t r = 0; r < rows; ++r) {
      small_weights<Grid>(weights_of(seen, i + r, weights), s, z, r, &small);
      ahead.fetch(10);
    }
    small_values<Grid, Vectors>(group, small, rows, seen.to[i + rows - 1], row, out + i * row);
  }
}

static inline void byte_values(const kv::Tile& tile, const kv::Seen& seen, const kv::Codec& codec,
                               const kv::Group& group, const float* s, const float* z, const float* weights,
                               Ahead ahead, float* out) {
  ByteCodes bytes;
  const uint8_t* codes = bytes.of(codec, group, last_seen(tile, seen));
  for (int64_t i = 0; i < tile.count; i += 4) {
    int64_t rows = std::min<int64_t>(4, tile.count - i);
    WordWeights words;
    for (int64_t r = 0; r < rows; ++r) {
      word_weights(weights_of(seen, i + r, weights), s, z, r, &words);
      ahead.fetch(20);
    }
    byte_values(codes, group.n, words, rows, seen.to[i + rows - 1], out + i * group.n);
  }
}

static void packed_values(const kv::AttentionCall& call, const kv::Tile& tile, int64_t page, const kv::Seen& seen,
                          const float* weights, Ahead ahead, float* out) {
  const kv::Codec& codec = call.cache.value;
  int64_t tokens = last_seen(tile, seen), row = call.cache.exact.row;
  bool small = is_small_head(codec);
  if (!small && !is_byte_head(codec)) {
    FloatRows rows;
    value_page(weights, rows.of(codec, page, tile.head, tokens, row), tile.count, seen, row, out);
    ahead.fetch(INT64_MAX);
    return;
  }
  float s[kv::kPageTokens], z[kv::kPageTokens];
  std::fill(s + tokens / 8 * 8, s + kv::kPageTokens, 0.0f);
  std::fill(z + tokens / 8 * 8, z + kv::kPageTokens, 0.0f);
  for (int64_t g = 0; g < codec.groups(); ++g) {
    kv::Group group = codec.at(page, tile.head, g);
    decode_metadata(codec, group, tokens, s, z);
    if (!small) {
      byte_values(tile, seen, codec, group, s, z, weights, ahead, out);
      continue;
    }
    bool grid = codec.zero == kv::kLloydMax, two = tokens_together(group.n) == 2;
    auto of = grid ? two ? tile_values<true, 1> : tile_values<true, 2>
                   : two ? tile_values<false, 1> : tile_values<false, 2>;
    of(tile, seen, group, s, z, weights, row, ahead, out + g * codec.group);
  }
}

// Sinks lie elsewhere: their slots in packed pages have no weight.
static inline void mask_sinks(const kv::Cache& cache, int64_t first, int64_t rows, float* scores) {
  const int64_t* end = cache.sink_positions + cache.sinks;
  for (const int64_t* at = std::lower_bound(cache.sink_positions, end, first); at != end; ++at) {
    if (*at >= first + kv::kPageTokens) break;
    for (int64_t i = 0; i < rows; ++i) scores[i * kv::kPageTokens + *at - first] = -INFINITY;
  }
}

// What a head has in the packed page behind that of position `first`.
static inline Ahead page_behind(const kv::Cache& cache, const kv::Codec& codec, int64_t first, int64_t unit) {
  if (first + kv::kPageTokens >= cache.packed_end) return {};
  return Ahead::of(codec, cache.packed[first / kv::kPageTokens + 1], unit);
}

// What is left of a packed page once there are scores.
static void finish_packed(const kv::AttentionCall& call, const kv::Tile& tile, int64_t first, const kv::Seen& seen,
                          const MeanScores& mean, float* scores, float* partial) {
  Running into(partial);
  add_mean(call, tile, mean, first, scores);
  mask_sinks(call.cache, first, tile.count, scores);
  softmax_page(scores, tile.count, seen, into, call.cache.exact.row);
  Ahead ahead = page_behind(call.cache, call.cache.value, first, tile.head);
  packed_values(call, tile, call.cache.packed[first / kv::kPageTokens], seen, scores, ahead, into.out);
}

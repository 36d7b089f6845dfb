// A strip of keys of any format: dequantized to floats and rounded so that a sum over a rotation fits 32 bits, to 22
// bits at most. The rotary embedding and scores are fp32.
//
// Cost of a channel and 16 tokens: 2 operations a stage, 2 x 3 for the embedding, 2 for each query row.

// The numbers of a strip in the order of the rotated row; unit[t] is what 1 stands for.
static void wide_numbers(const kv::Cache& cache, int64_t page, int64_t slot, float* rows, int32_t* to, float* unit) {
  const kv::Codec& codec = cache.key;
  uint8_t codes[128];
  for (int64_t g = 0; g < codec.groups(); ++g) {
    kv::Group group = codec.at(page, 0, g);
    for (int64_t t = 0; t < kStrip; ++t) {
      unpack(group.codes + (slot + t) * codec.token_bytes(group.n), group.n, codec.bits, codes);
      float s = decode_scale(codec.scale, group.scales + (slot + t) * codec.scale_bytes());
      float z = decode_zero(codec.zero, codec.bits, group.zeros + (slot + t) * codec.zero_bytes());
      dequantize(codec, codes, group.n, s, z, rows + t * codec.unit + g * codec.group);
    }
  }
  const float top = static_cast<float>(std::min<int64_t>(1 << 21, (int64_t{1} << 31) / cache.rotation) - 1);
  for (int64_t t = 0; t < kStrip; ++t) {
    const float* row = rows + t * codec.unit;
    float most = 1e-30f;
    for (int64_t i = 0; i < codec.unit; ++i) most = std::max(most, std::fabs(row[i]));
    float by = top / most;
    for (int64_t i = 0; i < codec.unit; ++i) {
      to[cache.order[i] * kStrip + t] = static_cast<int32_t>(std::nearbyint(row[i] * by));
    }
    unit[t] = most / top;
  }
}

static inline __m256i add32(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
static inline __m256i sub32(__m256i a, __m256i b) { return _mm256_sub_epi32(a, b); }

// The stages with strides `stride` to Radix / 2 x stride.
template <int Radix>
static inline void wide_stages(int32_t* x, int64_t channels, int64_t stride) {
  for (int64_t c = 0; c < channels; c += Radix * stride) {
    for (int64_t j = c * kStrip; j < (c + stride) * kStrip; j += 8) {
      __m256i v[Radix];
#pragma GCC unroll 8
      for (int i = 0; i < Radix; ++i) v[i] = load_bytes(x + j + i * stride * kStrip);
      butterflies<Radix>(v, add32, sub32);
#pragma GCC unroll 8
      for (int i = 0; i < Radix; ++i) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(x + j + i * stride * kStrip), v[i]);
      }
    }
  }
}

// One rotation over n = 2^k or 12 2^k channels.
static inline void wide_rotation(int32_t* x, int64_t n) {
  int64_t twos = n % 12 == 0 ? n / 12 : n, stride = 1;
  for (; stride * 8 <= twos; stride *= 8) wide_stages<8>(x, n, stride);
  for (; stride * 2 <= twos; stride *= 2) wide_stages<2>(x, n, stride);
  for (int64_t j = 0; twos < n && j < twos * kStrip; j += kWidth) twelve<vi>(x + j, twos * kStrip, 1);
}

static inline vf lanes_of(const int32_t* x) {
  vi lanes;
  std::memcpy(&lanes, x, sizeof lanes);
  return __builtin_convertvector(lanes, vf);
}

// A head of the strip turned by the rotary embedding: [head_dim][kStrip].
static inline void turn_head(const int32_t* x, const kv::Rope& rope, const float* turns, int64_t dim, float* to) {
  for (int64_t j = 0; j < rope.half; ++j) {
    for (int64_t t = 0; t < kStrip; t += kWidth) {
      vf c = load(turns + j * kStrip + t), s = load(turns + (rope.half + j) * kStrip + t);
      vf a = lanes_of(x + j * kStrip + t), b = lanes_of(x + (rope.half + j) * kStrip + t);
      store(to + j * kStrip + t, a * c - b * s);
      store(to + (rope.half + j) * kStrip + t, b * c + a * s);
    }
  }
  for (int64_t i = 2 * rope.half * kStrip; i < dim * kStrip; i += kWidth) store(to + i, lanes_of(x + i));
}

// Scores of Rows rows and the strip's tokens.
template <int Rows>
static inline void strip_scores(const float* q, const float* k, const float* unit, int64_t dim, int64_t row,
                                float scale, float* scores) {
  constexpr int kVectors = kStrip / kWidth;
  vf acc[Rows][kVectors];
  clear(acc);
  for (int64_t c = 0; c < dim; ++c) {
    vf key[kVectors];
    for (int i = 0; i < kVectors; ++i) key[i] = load(k + c * kStrip + i * kWidth);
    for (int r = 0; r < Rows; ++r) {
      vf query = splat(q[r * row + c]);
      for (int i = 0; i < kVectors; ++i) acc[r][i] += query * key[i];
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int i = 0; i < kVectors; ++i) {
      store(scores + r * kv::kPageTokens + i * kWidth, acc[r][i] * load(unit + i * kWidth) * splat(scale));
    }
  }
}

struct WideStrip {
  Lines<int32_t> numbers;  // [channels][kStrip]
  Lines<float> floats;     // the same before rounding: [kStrip][channels]
  Lines<float> turns;      // cosines [half][kStrip], then sines
  alignas(64) float keys[kv::kMaxHeadDim * kStrip];  // of a head, turned: [head_dim][kStrip]
  alignas(64) float unit[kStrip];

  void reserve(const kv::Cache& cache, int64_t) {
    int64_t channels = cache.exact.heads * cache.head_dim;
    numbers.reserve(channels * kStrip);
    floats.reserve(channels * kStrip);
    turns.reserve(2 * cache.rope.half * kStrip);
  }

  // The strip of 16 tokens from `slot` on; page_cos and page_sin are the turns of the page's first position.
  void unpack(const kv::Cache& cache, int64_t page, int64_t slot, const float* page_cos, const float* page_sin) {
    wide_numbers(cache, page, slot, floats.data(), numbers.data(), unit);
    float by = hadamard_scale(cache.rotation);
    for (int64_t t = 0; t < kStrip; ++t) unit[t] *= by;
    for (int64_t j = 0; j < cache.rope.half; ++j) {
      vf pc = splat(page_cos[j]), ps = splat(page_sin[j]);
      for (int64_t t = 0; t < kStrip; t += kWidth) {
        vf c = load(cache.rope.cos_at(j) + slot + t), s = load(cache.rope.sin_at(j) + slot + t);
        store(turns.data() + j * kStrip + t, c * pc - s * ps);
        store(turns.data() + (cache.rope.half + j) * kStrip + t, s * pc + c * ps);
      }
    }
  }

  // Makes a head whole; heads come in order.
  void restore(const kv::Cache& cache, int64_t h) {
    int32_t* x = numbers.data() + h * cache.head_dim * kStrip;
    if (h * cache.head_dim % cache.rotation == 0) wide_rotation(x, cache.rotation);
    turn_head(x, cache.rope, turns.data(), cache.head_dim, keys);
  }

  // Scores of a tile and the head that was restored last.
  void score(const kv::AttentionCall& call, int64_t, const TileQueries& q, int64_t rows, float* to) const {
    int64_t i = 0, dim = call.cache.head_dim, row = call.cache.exact.row;
    float scale = static_cast<float>(call.scale);
    for (; i + 4 <= rows; i += 4) {
      strip_scores<4>(q.rows + i * row, keys, unit, dim, row, scale, to + i * kv::kPageTokens);
    }
    for (; i < rows; ++i) strip_scores<1>(q.rows + i * row, keys, unit, dim, row, scale, to + i * kv::kPageTokens);
  }
};

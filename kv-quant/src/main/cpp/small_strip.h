// A strip of keys in 2 bits with whole or fractional zero points, in 16 bits from codes to scores.
//
// Numbers are those of a token in units of its greatest possible magnitude / 4092: 12 bits and a sign, with room
// for what rounding step and zero point each by themselves adds, 2 units. Three stages
// of butterflies fit 16 bits; before each further three the numbers are divided by 8 and rounded. So a sum over n
// channels comes out in units of sqrt(n) / 8 of the first, and never exceeds 32752, nor does the length of a row.
// The rotary embedding takes cosines and sines in 15 bits, scores take queries in 11.5 bits: pairs of channels lie
// side by side, one multiply-add of 16 bits takes 8 tokens and two channels, and its sums fit 32 bits, because the
// length of a key is at most 32752 and that of a query 16 x 2895.
//
// Error: s and s z are rounded to the unit; each division adds half of one unit of a sum that grew by sqrt(8). All
// together some 1e-5 of a key (NMSE) beside 0.1 of 2 bits.
//
// Cost of a channel and 16 tokens: 4 operations to unpack, 3 stages of butterflies in 17 with their loads and
// stores, 4 for the embedding, 2.5 for each query row.

// 16 rows of 32 bytes to 32 columns of 16: column j in the low half of out[j], column 16 + j in the high half.
static inline void transpose(const uint8_t* rows, __m256i* out) {
  __m256i a[16], b[16];
  for (int i = 0; i < 16; ++i) a[i] = load_bytes(rows + i * 32);
  for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm256_unpacklo_epi8(a[i], a[i + 8]);
    b[2 * i + 1] = _mm256_unpackhi_epi8(a[i], a[i + 8]);
  }
  for (int i = 0; i < 8; ++i) {
    a[2 * i] = _mm256_unpacklo_epi8(b[i], b[i + 8]);
    a[2 * i + 1] = _mm256_unpackhi_epi8(b[i], b[i + 8]);
  }
  for (int i = 0; i < 8; ++i) {
    b[2 * i] = _mm256_unpacklo_epi8(a[i], a[i + 8]);
    b[2 * i + 1] = _mm256_unpackhi_epi8(a[i], a[i + 8]);
  }
  for (int i = 0; i < 8; ++i) {
    out[2 * i] = _mm256_unpacklo_epi8(b[i], b[i + 8]);
    out[2 * i + 1] = _mm256_unpackhi_epi8(b[i], b[i + 8]);
  }
}

static constexpr float kTop = 4092;

static inline bool is_small(const kv::Codec& codec) {
  return codec.bits == 2 && codec.group == 128 && codec.unit % 128 == 0 &&
         (codec.zero == kv::kInteger || codec.zero == kv::kFractional);
}

static inline __m256i words(__m256 low, __m256 high) {
  __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
  return _mm256_permute4x64_epi64(packed, 0xd8);
}

// The numbers of a strip in the order of the rotated row; unit[t] is what 1 stands for.
static void small_numbers(const kv::Cache& cache, int64_t page, int64_t slot, int16_t* to, float* unit) {
  const kv::Codec& codec = cache.key;
  int64_t groups = codec.groups();
  __m256 most[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  float scales[kv::kPageTokens], zeros[kv::kPageTokens];
  for (int64_t g = 0; g < groups; ++g) {
    kv::Group group = codec.at(page, 0, g);
    kv::Group strip{nullptr, group.scales + slot * codec.scale_bytes(), group.zeros + slot, 0};
    decode_metadata(codec, strip, kStrip, scales, zeros);
    for (int i = 0; i < 2; ++i) {
      __m256 z = _mm256_loadu_ps(zeros + 8 * i);
      __m256 reach = _mm256_max_ps(z, _mm256_sub_ps(_mm256_set1_ps(3), z));
      most[i] = _mm256_max_ps(most[i], _mm256_mul_ps(reach, _mm256_loadu_ps(scales + 8 * i)));
    }
  }
  __m256 by[2];
  for (int i = 0; i < 2; ++i) {
    most[i] = _mm256_max_ps(most[i], _mm256_set1_ps(1e-30f));
    by[i] = _mm256_div_ps(_mm256_set1_ps(kTop), most[i]);
    _mm256_storeu_ps(unit + 8 * i, _mm256_mul_ps(most[i], _mm256_set1_ps(1 / kTop)));
  }
  const __m256i three = _mm256_set1_epi16(3);
  for (int64_t g = 0; g < groups; ++g) {
    kv::Group group = codec.at(page, 0, g);
    kv::Group strip{nullptr, group.scales + slot * codec.scale_bytes(), group.zeros + slot, 0};
    decode_metadata(codec, strip, kStrip, scales, zeros);
    __m256 s[2], sz[2];
    for (int i = 0; i < 2; ++i) {
      s[i] = _mm256_mul_ps(_mm256_loadu_ps(scales + 8 * i), by[i]);
      sz[i] = _mm256_mul_ps(s[i], _mm256_loadu_ps(zeros + 8 * i));
    }
    __m256i step = words(s[0], s[1]), less = words(sz[0], sz[1]);
    __m256i columns[16];
    transpose(group.codes + slot * codec.token_bytes(group.n), columns);
    const int32_t* order = cache.order + g * 128;
    for (int j = 0; j < 32; ++j) {
      __m128i bytes = j < 16 ? _mm256_castsi256_si128(columns[j]) : _mm256_extracti128_si256(columns[j - 16], 1);
      __m256i packed = _mm256_cvtepu8_epi16(bytes);
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        __m256i code = _mm256_and_si256(_mm256_srli_epi16(packed, 2 * k), three);
        __m256i number = _mm256_sub_epi16(_mm256_mullo_epi16(code, step), less);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + order[j + 32 * k] * kStrip), number);
      }
    }
  }
}

static inline __m256i add16(__m256i a, __m256i b) { return _mm256_add_epi16(a, b); }
static inline __m256i sub16(__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); }

// The stages with strides `stride` to Radix / 2 x stride, then a division by `next`.
template <int Radix>
static inline void small_stages(int16_t* x, int64_t channels, int64_t stride, int64_t next) {
  const __m256i by = _mm256_set1_epi16(static_cast<int16_t>(0x8000 / next));
  for (int64_t c = 0; c < channels; c += Radix * stride) {
    for (int64_t j = c; j < c + stride; ++j) {
      __m256i v[Radix];
#pragma GCC unroll 8
      for (int i = 0; i < Radix; ++i) v[i] = load_bytes(x + (j + i * stride) * kStrip);
      butterflies<Radix>(v, add16, sub16);
#pragma GCC unroll 8
      for (int i = 0; i < Radix; ++i) {
        if (next > 1) v[i] = _mm256_mulhrs_epi16(v[i], by);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(x + (j + i * stride) * kStrip), v[i]);
      }
    }
  }
}

// One rotation over n = 2^k channels, n >= 8.
static inline void small_rotation(int16_t* x, int64_t n) {
  for (int64_t stride = 1; stride < n;) {
    int64_t radix = std::min<int64_t>(8, n / stride), next = std::min<int64_t>(8, n / (stride * radix));
    switch (radix) {
      case 8:
        small_stages<8>(x, n, stride, next);
        break;
      case 4:
        small_stages<4>(x, n, stride, next);
        break;
      default:
        small_stages<2>(x, n, stride, next);
        break;
    }
    stride *= radix;
  }
}

// The queries of a tile in 11.5 bits: pairs of channels as small_turn lays them side by side.
struct PairRows {
  static constexpr float kTop = 2895;
  int32_t pairs[kv::kTileRows][kv::kMaxHeadDim / 2];
  float unit[kv::kTileRows];  // what 1 stands for, the factor of the scores included; NaN for a row with NaN

  void of(const float* rows, int64_t count, int64_t row, int64_t dim, int64_t half, float scale) {
    for (int64_t r = 0; r < count; ++r) {
      const float* x = rows + r * row;
      float most = 0, zeros = 0;
      for (int64_t i = 0; i < dim; ++i) {
        most = std::max(most, std::fabs(x[i]));
        zeros += x[i] * 0;
      }
      float by = most > 0 && zeros == 0 ? kTop / most : 0;
      for (int64_t p = 0; p < dim / 2; ++p) {
        int64_t a = p < half ? p : 2 * p, b = p < half ? half + p : 2 * p + 1;
        int low = _mm_cvtss_si32(_mm_set_ss(x[a] * by)), high = _mm_cvtss_si32(_mm_set_ss(x[b] * by));
        pairs[r][p] = static_cast<int32_t>(static_cast<uint32_t>(high) << 16 | (low & 0xffff));
      }
      unit[r] = (zeros == 0 ? most / kTop : NAN) * scale;
    }
  }
};

struct SmallStrip {
  Lines<int16_t> numbers;         // [channels][kStrip]
  Lines<int16_t> turns;           // cosines [half][kStrip] in 1 / 32767, then sines
  std::vector<PairRows> queries;  // of each tile
  alignas(32) int16_t keys[kv::kMaxHeadDim * kStrip];  // of a head, turned: [pairs][2][8 tokens][2]
  alignas(32) float unit[kStrip];

  void reserve(const kv::Cache& cache, int64_t tiles) {
    numbers.reserve(cache.exact.heads * cache.head_dim * kStrip);
    turns.reserve(2 * cache.rope.half * kStrip);
    if (static_cast<int64_t>(queries.size()) < tiles) queries.resize(tiles);
  }

  // The strip of 16 tokens from `slot` on; page_cos and page_sin are the turns of the page's first position.
  void unpack(const kv::Cache& cache, int64_t page, int64_t slot, const float* page_cos, const float* page_sin) {
    small_numbers(cache, page, slot, numbers.data(), unit);
    float by = static_cast<float>(std::sqrt(static_cast<double>(cache.rotation)) / 8);
    for (int64_t t = 0; t < kStrip; ++t) unit[t] *= by;
    const __m256 one = _mm256_set1_ps(32767);
    int16_t* cosines = turns.data();
    int16_t* sines = cosines + cache.rope.half * kStrip;
    for (int64_t j = 0; j < cache.rope.half; ++j) {
      __m256 pc = _mm256_mul_ps(_mm256_set1_ps(page_cos[j]), one), ps = _mm256_mul_ps(_mm256_set1_ps(page_sin[j]), one);
      __m256 cos[2], sin[2];
      for (int i = 0; i < 2; ++i) {
        __m256 c = _mm256_loadu_ps(cache.rope.cos_at(j) + slot + 8 * i);
        __m256 s = _mm256_loadu_ps(cache.rope.sin_at(j) + slot + 8 * i);
        cos[i] = _mm256_fmsub_ps(c, pc, _mm256_mul_ps(s, ps));
        sin[i] = _mm256_fmadd_ps(s, pc, _mm256_mul_ps(c, ps));
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(cosines + j * kStrip), words(cos[0], cos[1]));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(sines + j * kStrip), words(sin[0], sin[1]));
    }
  }

  // Makes a head whole; heads come in order.
  void restore(const kv::Cache& cache, int64_t h) {
    int64_t dim = cache.head_dim, half = cache.rope.half;
    int16_t* x = numbers.data() + h * dim * kStrip;
    if (h * dim % cache.rotation == 0) small_rotation(x, cache.rotation);
    const int16_t* cosines = turns.data();
    const int16_t* sines = cosines + half * kStrip;
    __m256i* to = reinterpret_cast<__m256i*>(keys);
    for (int64_t p = 0; p < dim / 2; ++p, to += 2) {
      __m256i a, b;
      if (p < half) {
        a = load_bytes(x + p * kStrip);
        b = load_bytes(x + (half + p) * kStrip);
        __m256i c = load_bytes(cosines + p * kStrip), s = load_bytes(sines + p * kStrip);
        __m256i turned = _mm256_subs_epi16(_mm256_mulhrs_epi16(a, c), _mm256_mulhrs_epi16(b, s));
        b = _mm256_adds_epi16(_mm256_mulhrs_epi16(b, c), _mm256_mulhrs_epi16(a, s));
        a = turned;
      } else {
        a = load_bytes(x + 2 * p * kStrip);
        b = load_bytes(x + (2 * p + 1) * kStrip);
      }
      _mm256_store_si256(to, _mm256_unpacklo_epi16(a, b));
      _mm256_store_si256(to + 1, _mm256_unpackhi_epi16(a, b));
    }
  }

  void gather(int64_t tile, const TileQueries& q, int64_t rows, const kv::AttentionCall& call) {
    const kv::Cache& cache = call.cache;
    queries[tile].of(q.rows, rows, cache.exact.row, cache.head_dim, cache.rope.half, static_cast<float>(call.scale));
  }

  template <int Rows>
  void scores(const PairRows& q, int64_t first, int64_t dim, float* to) const {
    __m256i acc[Rows][2];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    const __m256i* k = reinterpret_cast<const __m256i*>(keys);
    for (int64_t p = 0; p < dim / 2; ++p) {
      __m256i low = _mm256_load_si256(k + 2 * p), high = _mm256_load_si256(k + 2 * p + 1);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        __m256i pair = _mm256_set1_epi32(q.pairs[first + r][p]);
        acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(low, pair));
        acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(high, pair));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      __m256i eight[2] = {_mm256_permute2x128_si256(acc[r][0], acc[r][1], 0x20),
                          _mm256_permute2x128_si256(acc[r][0], acc[r][1], 0x31)};
      for (int i = 0; i < 2; ++i) {
        __m256 by = _mm256_mul_ps(_mm256_load_ps(unit + 8 * i), _mm256_set1_ps(q.unit[first + r]));
        _mm256_storeu_ps(to + r * kv::kPageTokens + 8 * i, _mm256_mul_ps(_mm256_cvtepi32_ps(eight[i]), by));
      }
    }
  }

  // Scores of a tile and the head that was restored last.
  void score(const kv::AttentionCall& call, int64_t tile, const TileQueries&, int64_t rows, float* to) const {
    int64_t i = 0, dim = call.cache.head_dim;
    for (; i + 4 <= rows; i += 4) scores<4>(queries[tile], i, dim, to + i * kv::kPageTokens);
    for (; i < rows; ++i) scores<1>(queries[tile], i, dim, to + i * kv::kPageTokens);
  }
};

// Whether a cache's keys are restored so.
static inline bool restores_small(const kv::Cache& cache) {
  return is_small(cache.key) && cache.rotation % 12 != 0;
}

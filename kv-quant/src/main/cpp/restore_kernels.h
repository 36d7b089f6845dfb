// Keys that were rotated over heads before the rotary embedding, made whole again for a strip of 16 tokens:
//
//   codes -> numbers -> channel order[i] = stored channel i -> Had over `rotation` channels -> R_t
//
// Tokens lie along the lanes, channels along memory: the permutation is a choice of address, the butterflies
// and the rotary embedding need no shuffles, and a score is one multiply-add a channel for 8 or 16 tokens. A strip
// is restored once for all heads.
//
// Numbers are integers: those of a token in units of its greatest possible magnitude / 4095 (12 bits), so that
// three stages of butterflies fit 16 bits, at twice the lanes; the others are 32 bits wide. Sums are exact; what
// is lost is one rounding of s and s z to a unit, 2 / 4095 of that magnitude at most. Formats other than 2 bits
// with a whole or fractional zero point and groups of 128 are dequantized to floats and rounded to 22 bits, and
// all stages are 32 bits wide.
//
// Cost of a channel and 16 tokens: 4 + 3 operations of 16 bits, 2 x 6 of 32 bits, 2 x 3 for the embedding.

constexpr int64_t kStrip = 16;

struct RestoreScratch {
  std::vector<int32_t> wide;   // [channels][kStrip]
  std::vector<int16_t> small;  // the same before widening
  std::vector<float> floats;   // [kStrip][channels]
  std::vector<float> turns;    // cosines [half][kStrip], then sines

  void reserve(int64_t channels, int64_t half) {
    wide.resize(channels * kStrip + kStrip);
    small.resize(channels * kStrip + kStrip);
    floats.resize(channels * kStrip);
    turns.resize(2 * half * kStrip);
  }
};

// Turns of the strip's tokens: page_cos and page_sin turned by the slots' own.
static inline void strip_turns(const kv::Rope& rope, const float* page_cos, const float* page_sin, int64_t slot,
                               float* turns) {
  for (int64_t j = 0; j < rope.half; ++j) {
    vf pc = splat(page_cos[j]), ps = splat(page_sin[j]);
    for (int64_t t = 0; t < kStrip; t += kWidth) {
      vf c = load(rope.cos_at(j) + slot + t), s = load(rope.sin_at(j) + slot + t);
      store(turns + j * kStrip + t, c * pc - s * ps);
      store(turns + (rope.half + j) * kStrip + t, s * pc + c * ps);
    }
  }
}

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

static inline bool is_small(const kv::Codec& codec) {
  return codec.bits == 2 && codec.group == 128 && codec.unit % 128 == 0 &&
         (codec.zero == kv::kInteger || codec.zero == kv::kFractional);
}

static inline __m256i words(__m256 low, __m256 high) {
  __m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
  return _mm256_permute4x64_epi64(packed, 0xd8);
}

// The strip's numbers in 16 bits, in the order of the rotated row; unit[t] is what 1 stands for.
static void small_numbers(const kv::Cache& cache, int64_t page, int64_t slot, int16_t* to, float* unit) {
  const kv::Codec& codec = cache.key;
  int64_t groups = codec.groups();
  __m256 most[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
  float scales[kv::kPageTokens], zeros[kv::kPageTokens];
  for (int64_t g = 0; g < groups; ++g) {
    kv::Group group = codec.at(page, 0, g);
    decode_metadata(codec, {nullptr, group.scales + slot * codec.scale_bytes(), group.zeros + slot, 0}, kStrip, scales, zeros);
    for (int i = 0; i < 2; ++i) {
      __m256 z = _mm256_loadu_ps(zeros + 8 * i);
      __m256 reach = _mm256_max_ps(z, _mm256_sub_ps(_mm256_set1_ps(3), z));
      most[i] = _mm256_max_ps(most[i], _mm256_mul_ps(reach, _mm256_loadu_ps(scales + 8 * i)));
    }
  }
  __m256 by[2];
  for (int i = 0; i < 2; ++i) {
    most[i] = _mm256_max_ps(most[i], _mm256_set1_ps(1e-30f));
    by[i] = _mm256_div_ps(_mm256_set1_ps(4095), most[i]);
    _mm256_storeu_ps(unit + 8 * i, _mm256_mul_ps(most[i], _mm256_set1_ps(1 / 4095.0f)));
  }
  const __m256i three = _mm256_set1_epi16(3);
  for (int64_t g = 0; g < groups; ++g) {
    kv::Group group = codec.at(page, 0, g);
    decode_metadata(codec, {nullptr, group.scales + slot * codec.scale_bytes(), group.zeros + slot, 0}, kStrip, scales, zeros);
    __m256 s[2], sz[2];
    for (int i = 0; i < 2; ++i) {
      s[i] = _mm256_mul_ps(_mm256_loadu_ps(scales + 8 * i), by[i]);
      sz[i] = _mm256_mul_ps(s[i], _mm256_loadu_ps(zeros + 8 * i));
    }
    __m256i step = words(s[0], s[1]), less = words(sz[0], sz[1]);
    __m256i columns[16];
    transpose(group.codes + slot * kBytes, columns);
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

// The strip's numbers in 32 bits, for all other formats.
static void wide_numbers(const kv::Cache& cache, int64_t page, int64_t slot, RestoreScratch& scratch, float* unit) {
  const kv::Codec& codec = cache.key;
  float* rows = scratch.floats.data();
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
  for (int64_t t = 0; t < kStrip; ++t) {
    const float* row = rows + t * codec.unit;
    float most = 1e-30f;
    for (int64_t i = 0; i < codec.unit; ++i) most = std::max(most, std::fabs(row[i]));
    float by = ((1 << 21) - 1) / most;
    for (int64_t i = 0; i < codec.unit; ++i) {
      scratch.wide[cache.order[i] * kStrip + t] = static_cast<int32_t>(std::nearbyint(row[i] * by));
    }
    unit[t] = most / ((1 << 21) - 1);
  }
}

static inline __m256i load_lanes(const int32_t* p) { return load_bytes(p); }
static inline __m256i load_lanes(const int16_t* p) {
  return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

template <int Radix>
static inline void butterflies(__m256i* x, __m256i (*add)(__m256i, __m256i), __m256i (*sub)(__m256i, __m256i)) {
#pragma GCC unroll 3
  for (int stride = 1; stride < Radix; stride *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < Radix; ++i) {
      if (i & stride) continue;
      __m256i a = x[i], b = x[i + stride];
      x[i] = add(a, b);
      x[i + stride] = sub(a, b);
    }
  }
}

static inline __m256i add16(__m256i a, __m256i b) { return _mm256_add_epi16(a, b); }
static inline __m256i sub16(__m256i a, __m256i b) { return _mm256_sub_epi16(a, b); }
static inline __m256i add32(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
static inline __m256i sub32(__m256i a, __m256i b) { return _mm256_sub_epi32(a, b); }

// Three stages with strides 1, 2, 4 in 16 bits.
static inline void first_stages(int16_t* x, int64_t channels) {
  for (int64_t c = 0; c < channels; c += 8) {
    __m256i v[8];
    __m256i* at = reinterpret_cast<__m256i*>(x + c * kStrip);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) v[i] = _mm256_loadu_si256(at + i);
    butterflies<8>(v, add16, sub16);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) _mm256_storeu_si256(at + i, v[i]);
  }
}

// The stages with strides `stride` to Radix / 2 x stride.
template <int Radix, class E>
static inline void stages(const E* x, int64_t channels, int64_t stride, int32_t* to) {
  for (int64_t c = 0; c < channels; c += Radix * stride) {
    for (int64_t j = c * kStrip; j < (c + stride) * kStrip; j += 8) {
      __m256i v[Radix];
#pragma GCC unroll 8
      for (int i = 0; i < Radix; ++i) v[i] = load_lanes(x + j + i * stride * kStrip);
      butterflies<Radix>(v, add32, sub32);
#pragma GCC unroll 8
      for (int i = 0; i < Radix; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + j + i * stride * kStrip), v[i]);
    }
  }
}

// All stages from `stride` on of rotations over n channels.
static inline void last_stages(int32_t* x, int64_t channels, int64_t stride, int64_t n) {
  for (; stride * 8 <= n; stride *= 8) stages<8>(x, channels, stride, x);
  for (; stride * 2 <= n; stride *= 2) stages<2>(x, channels, stride, x);
}

static inline bool starts_small(const kv::Cache& cache) { return is_small(cache.key) && cache.rotation >= 64; }

// Unpacks a strip: the numbers of all rotations.
static void unpack_strip(const kv::Cache& cache, int64_t page, int64_t slot, RestoreScratch& scratch, float* unit) {
  if (starts_small(cache)) {
    small_numbers(cache, page, slot, scratch.small.data(), unit);
  } else {
    wide_numbers(cache, page, slot, scratch, unit);
  }
  float by = static_cast<float>(1 / std::sqrt(static_cast<double>(cache.rotation)));
  for (int64_t t = 0; t < kStrip; ++t) unit[t] *= by;
}

// The numbers of the rotation that begins at `channel`, rotated back; where they start in 16 bits they become wide in
// one place for all rotations, which stays in the first-level cache.
static const int32_t* restore_rotation(const kv::Cache& cache, int64_t channel, RestoreScratch& scratch) {
  int64_t n = cache.rotation;
  if (starts_small(cache)) {
    int16_t* small = scratch.small.data() + channel * kStrip;
    first_stages(small, n);
    stages<8>(small, n, 8, scratch.wide.data());
    last_stages(scratch.wide.data(), n, 64, n);
    return scratch.wide.data();
  }
  last_stages(scratch.wide.data() + channel * kStrip, n, 1, n);
  return scratch.wide.data() + channel * kStrip;
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
static inline void strip_scores(const float* q, const float* k, const float* unit, int64_t dim, int64_t row, float scale,
                                float* scores) {
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

static inline void strip_scores(const float* q, const float* k, const float* unit, int64_t rows, int64_t dim,
                                int64_t row, float scale, float* scores) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) strip_scores<4>(q + i * row, k, unit, dim, row, scale, scores + i * kv::kPageTokens);
  for (; i < rows; ++i) strip_scores<1>(q + i * row, k, unit, dim, row, scale, scores + i * kv::kPageTokens);
}

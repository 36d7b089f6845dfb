// Scores and values over heads of affine codes that are one group, in integers of 16 bits: codes of 8 bits as they
// lie, of fewer bits unpacked to bytes.
//
// Scores: a query is rounded once to 16 bits, q = u q16; q . k = u s (sum q16 c - z sum q16). Values: the weights of a
// page, p s, are rounded to 15 bits of the greatest. One multiply-add takes 16 products and leaves sums of two in 32
// bits, which hold a head (255 x 128 x 32767) and a page (255 x 64 x 32767) exactly. What is lost is a rounding of
// 2^-16 of the greatest channel and weight.
//
// Cost for 4 rows and a token of 128 channels: 8 operations to widen codes and 64 for scores, 16 and 64 for values;
// in floats both halves bound by their 64 multiply-adds, at half the rate.

struct WordRows {
  alignas(32) int16_t q[4][128];
  float unit[4];   // what 1 stands for, the factor of the scores included
  float total[4];  // sum of q
};

static inline bool is_byte_head(const kv::Codec& codec) {
  return codec.zero != kv::kLloydMax && codec.groups() == 1 && codec.unit % 16 == 0 && !is_small_head(codec);
}

// Rounds rows of n to 16 bits; a row with NaN or an infinity gets the unit NaN.
static inline void word_rows(const float* q, int64_t rows, int64_t stride, int64_t n, float scale, WordRows* to) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = q + r * stride;
    float most = 0, zeros = 0;
    for (int64_t i = 0; i < n; ++i) {
      most = std::max(most, std::fabs(x[i]));
      zeros += x[i] * 0;
    }
    float by = most > 0 && zeros == 0 ? 32767 / most : 0;
    int total = 0;
    for (int64_t i = 0; i < n; ++i) {
      to->q[r][i] = static_cast<int16_t>(_mm_cvtss_si32(_mm_set_ss(x[i] * by)));
      total += to->q[r][i];
    }
    to->total[r] = static_cast<float>(total);
    to->unit[r] = (zeros == 0 ? most / 32767 : NAN) * scale;
  }
}

// The codes of a group's first tokens, one a byte: as they lie, or unpacked.
struct ByteCodes {
  alignas(32) uint8_t bytes[kv::kPageTokens * 128];

  const uint8_t* of(const kv::Codec& codec, const kv::Group& group, int64_t tokens) {
    if (codec.bits == 8) return group.codes;
    for (int64_t t = 0; t < tokens; ++t) {
      unpack(group.codes + t * codec.token_bytes(group.n), group.n, codec.bits, bytes + t * group.n);
    }
    return bytes;
  }
};

static inline __m256i wide_bytes(__m128i x) { return _mm256_cvtepu8_epi16(x); }
static inline __m128i load_half(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

// Scores of Rows rows and tokens [0, to), widened to whole eights.
template <int Rows>
static inline void byte_scores(const uint8_t* codes, int64_t n, const float* s, const float* z, const WordRows& q,
                               int64_t to, float* scores) {
  for (int64_t t = 0; t < to; t += 8) {
    __m256i sums[Rows][8];
    for (int i = 0; i < 8; i += 2) {
      const uint8_t* x = codes + (t + i) * n;
      __m256i acc[Rows][2];
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
      for (int64_t c = 0; c < n; c += 16) {
        __m256i x0 = wide_bytes(load_half(x + c)), x1 = wide_bytes(load_half(x + n + c));
#pragma GCC unroll 4
        for (int r = 0; r < Rows; ++r) {
          __m256i query = load_bytes(q.q[r] + c);
          acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(x0, query));
          acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(x1, query));
        }
      }
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        sums[r][i] = acc[r][0];
        sums[r][i + 1] = acc[r][1];
      }
    }
    __m256 scale = _mm256_loadu_ps(s + t), zero = _mm256_loadu_ps(z + t);
    for (int r = 0; r < Rows; ++r) {
      __m256 dot = _mm256_fnmadd_ps(zero, _mm256_set1_ps(q.total[r]), _mm256_cvtepi32_ps(eight_sums(sums[r])));
      __m256 by = _mm256_mul_ps(scale, _mm256_set1_ps(q.unit[r]));
      _mm256_storeu_ps(scores + r * kv::kPageTokens + t, _mm256_mul_ps(dot, by));
    }
  }
}

static inline void byte_scores(const uint8_t* codes, int64_t n, const float* s, const float* z, const WordRows& q,
                               int64_t rows, int64_t to, float* scores) {
  switch (rows) {
    case 1:
      return byte_scores<1>(codes, n, s, z, q, to, scores);
    case 2:
      return byte_scores<2>(codes, n, s, z, q, to, scores);
    case 3:
      return byte_scores<3>(codes, n, s, z, q, to, scores);
    default:
      return byte_scores<4>(codes, n, s, z, q, to, scores);
  }
}

// The weights of up to four rows and a page, pairs of tokens side by side.
struct WordWeights {
  alignas(32) uint32_t pairs[4][kv::kPageTokens / 2];
  float unit[4];
  float zeros[4];  // sum of weight x zero point
};

static inline void word_weights(const float* p, const float* s, const float* z, int64_t r, WordWeights* to) {
  __m256 w[8], greatest = _mm256_setzero_ps(), zeros = greatest;
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    w[i] = _mm256_mul_ps(_mm256_loadu_ps(p + 8 * i), _mm256_loadu_ps(s + 8 * i));
    greatest = _mm256_max_ps(greatest, w[i]);
  }
  float most = lanes_max(greatest);
  __m256 by = _mm256_set1_ps(most > 0 ? 32767 / most : 0);
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(w[i], by)), high = _mm256_cvtps_epi32(_mm256_mul_ps(w[i + 1], by));
    zeros = _mm256_fmadd_ps(_mm256_cvtepi32_ps(low), _mm256_loadu_ps(z + 8 * i), zeros);
    zeros = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), _mm256_loadu_ps(z + 8 * i + 8), zeros);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to->pairs[r] + 4 * i),
                       _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8));
  }
  to->unit[r] = most / 32767;
  to->zeros[r] = lanes_sum(zeros);
}

// out[r] += sum of weights x values over the first `tokens` tokens.
template <int Rows>
static inline void byte_values(const uint8_t* codes, int64_t n, const WordWeights& w, int64_t tokens, float* out) {
  int64_t pairs = (tokens + 1) / 2;
  for (int64_t c = 0; c < n; c += 16) {
    __m256i acc[Rows][2];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
    for (int64_t t = 0; t < pairs; ++t) {
      __m128i a = load_half(codes + 2 * t * n + c), b = load_half(codes + (2 * t + 1) * n + c);
      __m256i low = wide_bytes(_mm_unpacklo_epi8(a, b)), high = wide_bytes(_mm_unpackhi_epi8(a, b));
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        __m256i weight = _mm256_set1_epi32(static_cast<int>(w.pairs[r][t]));
        acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(low, weight));
        acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(high, weight));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      for (int i = 0; i < 2; ++i) {
        float* to = out + r * n + c + 8 * i;
        __m256 sums = _mm256_sub_ps(_mm256_cvtepi32_ps(acc[r][i]), _mm256_set1_ps(w.zeros[r]));
        _mm256_storeu_ps(to, _mm256_fmadd_ps(sums, _mm256_set1_ps(w.unit[r]), _mm256_loadu_ps(to)));
      }
    }
  }
}

static inline void byte_values(const uint8_t* codes, int64_t n, const WordWeights& w, int64_t rows, int64_t tokens,
                               float* out) {
  switch (rows) {
    case 1:
      return byte_values<1>(codes, n, w, tokens, out);
    case 2:
      return byte_values<2>(codes, n, w, tokens, out);
    case 3:
      return byte_values<3>(codes, n, w, tokens, out);
    default:
      return byte_values<4>(codes, n, w, tokens, out);
  }
}

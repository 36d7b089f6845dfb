// Scores and values over groups of 32, 64, 96 or 128 codes of 2 bits, in integers: nothing is unpacked to floats.
//
// A token's codes are four stripes in n / 4 bytes. Of up to 16 bytes two tokens share a vector of 32, of up to 32 one
// fills it; where n / 4 is less, what is read behind a token meets zeros of the query, or is not stored.
//
// Scores. A query is rounded once to 8 bits, q = u q8. With c the codes (or, of a Lloyd-Max grid, its levels in
// twentieths: 0, 7, 13, 20), s the scale and z the zero point of a key: q . k = u s (sum q8 c - z sum q8). The
// sums are exact.
//
// Values. The weights of a page, p s, are rounded to at most 7 bits so that every running sum of them is within
// half a unit: w = round(sum up to t) - round(sum before t). So the mean of the page's values is kept, and only
// differences between neighbours are blurred. Sums over a page fit 16 bits: 64 tokens x 3 x 127, or for the
// grid's levels -10, -3, 3, 10 half a page, 32 x 10 x 102, halved before the second half is added.
//
// Error beside floats: scores |q|max / 254 x sum |k|; values one part in 126 (101) of the page's greatest
// weight, times the difference of neighbours; the inner levels of the grid 8e-4. All far below that of 2 bits.
//
// Cost for 4 rows and 64 tokens: unpacking once, then 4 multiply-adds of 32 for each row and vector of keys, and
// as many for values.

constexpr float kGridUnit = 0.1510417608f;  // of the levels +-3, +-10

constexpr int64_t kLeastSmall = 32;  // channels of a group

static inline bool is_small_head(const kv::Codec& codec) {
  return codec.bits == 2 && codec.unit % kLeastSmall == 0 &&
         (codec.group % kLeastSmall == 0 || codec.group >= codec.unit);
}

// How many tokens' codes lie in one vector, for groups of n.
static inline int tokens_together(int64_t n) { return n <= 64 ? 2 : 1; }

struct SmallRows {
  alignas(32) int8_t q[4][4][32];  // by row and stripe, once for each token of a vector, padded with zeros
  float unit[4];   // what 1 stands for, the factor of the scores included
  float total[4];  // sum of q
};

static inline __m256i load_bytes(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// The levels of codes by half bytes: of the code in the lower two bits, and of that in the upper two.
struct Levels {
  __m256i low, high, mask;

  static Levels of(char a, char b, char c, char d) {
    return {_mm256_broadcastsi128_si256(_mm_setr_epi8(a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d)),
            _mm256_broadcastsi128_si256(_mm_setr_epi8(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d)),
            _mm256_set1_epi8(15)};
  }
};

// Rounds rows of n to 8 bits; a row with NaN or an infinity gets the unit NaN.
static inline void small_rows(const float* q, int64_t n, int64_t rows, int64_t stride, float scale, bool grid,
                              SmallRows* to) {
  int64_t stripe = n / 4, tokens = tokens_together(n), pitch = 32 / tokens;
  for (int64_t r = 0; r < rows; ++r) {
    const float* x = q + r * stride;
    float most = 0, zeros = 0;
    for (int64_t i = 0; i < n; ++i) {
      most = std::max(most, std::fabs(x[i]));
      zeros += x[i] * 0;
    }
    float by = most > 0 && zeros == 0 ? 127 / most : 0;
    int total = 0;
    std::memset(to->q[r], 0, sizeof to->q[r]);
    for (int64_t i = 0; i < n; ++i) {
      int8_t rounded = static_cast<int8_t>(_mm_cvtss_si32(_mm_set_ss(x[i] * by)));
      for (int64_t t = 0; t < tokens; ++t) to->q[r][i / stripe][t * pitch + i % stripe] = rounded;
      total += rounded;
    }
    to->total[r] = static_cast<float>(total);
    to->unit[r] = (zeros == 0 ? most / 127 : NAN) * scale * (grid ? kGridUnit : 1);
  }
}

// The sums of the lower halves of four vectors of eight, then those of the upper halves.
static inline __m256i half_sums(const __m256i* x) {
  __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(x[0], x[1]), _mm256_unpackhi_epi32(x[0], x[1]));
  __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(x[2], x[3]), _mm256_unpackhi_epi32(x[2], x[3]));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

// The sums of eight vectors of eight.
static inline __m256i eight_sums(const __m256i* a) {
  __m256i low = half_sums(a), high = half_sums(a + 4);
  return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
}

// The sums of eight tokens, of which each vector holds Tokens side by side.
template <int Tokens>
static inline __m256i token_sums(const __m256i* a) {
  if (Tokens == 1) return eight_sums(a);
  return _mm256_permutevar8x32_epi32(half_sums(a), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// The codes of one token or of two, `bytes` each.
template <int Tokens>
static inline __m256i load_tokens(const uint8_t* codes, int64_t bytes) {
  if (Tokens == 1) return load_bytes(codes);
  return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes))),
                                 _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + bytes)), 1);
}

// Scores of up to four rows and tokens [0, to), widened to whole eights; a little is fetched ahead with each eight.
// Added to what is there unless this is the first group of a head.
template <bool Grid, int Tokens, class Fetch>
static inline void small_scores(const kv::Group& group, const float* s, const float* z, const SmallRows& q,
                                int64_t rows, int64_t to, bool first, Fetch& ahead, float* scores) {
  constexpr int kVectors = 8 / Tokens;
  alignas(32) uint8_t unpacked[kVectors][4][32];
  const int64_t bytes = group.n / 4;
  const __m256i ones = _mm256_set1_epi16(1);
  const Levels levels = Grid ? Levels::of(0, 7, 13, 20) : Levels::of(0, 1, 2, 3);
  for (int64_t t = 0; t < to; t += 8) {
    ahead.fetch(5);
    for (int64_t i = 0; i < kVectors; ++i) {
      __m256i packed = load_tokens<Tokens>(group.codes + (t + i * Tokens) * bytes, bytes);
      __m256i* to_stripe = reinterpret_cast<__m256i*>(unpacked[i]);
      for (int nibble = 0; nibble < 2; ++nibble) {
        __m256i x = _mm256_and_si256(_mm256_srli_epi16(packed, 4 * nibble), levels.mask);
        _mm256_store_si256(to_stripe + 2 * nibble, _mm256_shuffle_epi8(levels.low, x));
        _mm256_store_si256(to_stripe + 2 * nibble + 1, _mm256_shuffle_epi8(levels.high, x));
      }
    }
    __m256 scale = _mm256_loadu_ps(s + t), zero = Grid ? _mm256_set1_ps(10.0f) : _mm256_loadu_ps(z + t);
    for (int64_t r = 0; r < rows; ++r) {
      const auto& x = q.q[r];
      __m256i q0 = load_bytes(x[0]), q1 = load_bytes(x[1]), q2 = load_bytes(x[2]), q3 = load_bytes(x[3]);
      __m256i a[kVectors];
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; ++i) {
        const auto& c = unpacked[i];
        __m256i p0 = _mm256_maddubs_epi16(load_bytes(c[0]), q0), p1 = _mm256_maddubs_epi16(load_bytes(c[1]), q1);
        __m256i p2 = _mm256_maddubs_epi16(load_bytes(c[2]), q2), p3 = _mm256_maddubs_epi16(load_bytes(c[3]), q3);
        a[i] = _mm256_madd_epi16(_mm256_add_epi16(_mm256_add_epi16(p0, p1), _mm256_add_epi16(p2, p3)), ones);
      }
      __m256 dot = _mm256_fnmadd_ps(zero, _mm256_set1_ps(q.total[r]), _mm256_cvtepi32_ps(token_sums<Tokens>(a)));
      __m256 by = _mm256_mul_ps(scale, _mm256_set1_ps(q.unit[r]));
      float* at = scores + r * kv::kPageTokens + t;
      _mm256_storeu_ps(at, first ? _mm256_mul_ps(dot, by) : _mm256_fmadd_ps(dot, by, _mm256_loadu_ps(at)));
    }
  }
}

// The weights of up to four rows and a page: pairs of tokens, each pair twice over in 32 bits.
struct SmallWeights {
  alignas(32) uint32_t pairs[4][kv::kPageTokens / 2];
  float unit[4];
  float zeros[4];  // sum of weight x zero point
};

static inline float lanes_sum(__m256 v) {
  __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  h = _mm_add_ps(h, _mm_movehl_ps(h, h));
  return _mm_cvtss_f32(_mm_add_ss(h, _mm_movehdup_ps(h)));
}

// Running sums within the lanes.
static inline __m256 running_sums(__m256 x) {
  x = _mm256_add_ps(x, _mm256_castsi256_ps(_mm256_slli_si256(_mm256_castps_si256(x), 4)));
  x = _mm256_add_ps(x, _mm256_castsi256_ps(_mm256_slli_si256(_mm256_castps_si256(x), 8)));
  __m256 low = _mm256_permute2f128_ps(x, x, 0x08);
  return _mm256_add_ps(x, _mm256_shuffle_ps(low, low, 0xff));
}

template <bool Grid>
static inline void small_weights(const float* p, const float* s, const float* z, int64_t r, SmallWeights* to) {
  constexpr float kTop = Grid ? 101 : 126;
  __m256 w[8], greatest = _mm256_setzero_ps();
  for (int i = 0; i < 8; ++i) {
    w[i] = _mm256_mul_ps(_mm256_loadu_ps(p + 8 * i), _mm256_loadu_ps(s + 8 * i));
    greatest = _mm256_max_ps(greatest, w[i]);
  }
  float most = lanes_max(greatest);
  __m256 by = _mm256_set1_ps(most > 0 ? kTop / most : 0), carry = _mm256_setzero_ps(), zeros = carry;
  __m256i q[8], last = _mm256_setzero_si256();
  for (int i = 0; i < 8; ++i) {
    __m256 within = running_sums(_mm256_mul_ps(w[i], by)), sums = _mm256_add_ps(within, carry);
    carry = _mm256_add_ps(carry, _mm256_permutevar8x32_ps(within, _mm256_set1_epi32(7)));
    __m256i whole = _mm256_cvtps_epi32(sums);
    __m256i turned = _mm256_permutevar8x32_epi32(whole, _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6));
    __m256i before = _mm256_blend_epi32(turned, last, 1);
    last = turned;
    q[i] = _mm256_max_epi32(_mm256_sub_epi32(whole, before), _mm256_setzero_si256());
    if (!Grid) zeros = _mm256_fmadd_ps(_mm256_cvtepi32_ps(q[i]), _mm256_loadu_ps(z + 8 * i), zeros);
  }
  for (int i = 0; i < 4; ++i) {
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[2 * i], q[2 * i + 1]), 0xd8);
    __m256i pair = _mm256_or_si256(_mm256_and_si256(words, _mm256_set1_epi32(0xff)),
                                   _mm256_slli_epi32(_mm256_srli_epi32(words, 16), 8));
    __m256i* at = reinterpret_cast<__m256i*>(to->pairs[r] + 8 * i);
    _mm256_store_si256(at, _mm256_or_si256(pair, _mm256_slli_epi32(pair, 16)));
  }
  to->unit[r] = most / kTop * (Grid ? 2 * kGridUnit : 1);
  to->zeros[r] = lanes_sum(zeros);
}

// Sums of 16 bits to the outputs of a stripe of `channels`, a multiple of 8. Two tokens of 32 bytes were woven into two
// vectors: channels 0 to 7 and 16 to 23 in the first, the others in the second; two of 16 into one.
template <int Vectors>
static inline void add_stripe(const __m256i* woven, int64_t channels, float unit, float less, float* out) {
#pragma GCC unroll 4
  for (int64_t i = 0; i < 2 * Vectors; ++i) {
    if (8 * i >= channels) break;
    __m256i from = woven[i % Vectors];
    __m128i part = i < Vectors ? _mm256_castsi256_si128(from) : _mm256_extracti128_si256(from, 1);
    __m256 sums = _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(part)), _mm256_set1_ps(less));
    _mm256_storeu_ps(out + 8 * i, _mm256_fmadd_ps(sums, _mm256_set1_ps(unit), _mm256_loadu_ps(out + 8 * i)));
  }
}

// Sums of weights x values over the pairs of tokens [from, to), for the two stripes in the lower or upper half of each
// byte, and of them the 16 channels each that were woven into one of `Vectors` vectors.
template <int Rows, int Vectors>
static inline void nibble_sums(const uint8_t* woven, const Levels& levels, int nibble, const SmallWeights& w,
                               int64_t from, int64_t to, __m256i (&acc)[Rows][2]) {
  __m256i sums[Rows][2];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
  const __m128i shift = _mm_cvtsi32_si128(4 * nibble);
  for (int64_t t = from; t < to; ++t) {
    __m256i x = _mm256_and_si256(_mm256_srl_epi16(load_bytes(woven + t * Vectors * 32), shift), levels.mask);
    __m256i low = _mm256_shuffle_epi8(levels.low, x), high = _mm256_shuffle_epi8(levels.high, x);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      __m256i weight = _mm256_set1_epi32(static_cast<int>(w.pairs[r][t]));
      sums[r][0] = _mm256_add_epi16(sums[r][0], _mm256_maddubs_epi16(weight, low));
      sums[r][1] = _mm256_add_epi16(sums[r][1], _mm256_maddubs_epi16(weight, high));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
    acc[r][0] = sums[r][0];
    acc[r][1] = sums[r][1];
  }
}

// The same over all pairs; of the grid's levels halves, one rounded down and one up, even of few tokens.
template <bool Grid, int Rows, int Vectors>
static inline void nibble_values(const uint8_t* woven, const Levels& levels, int nibble, const SmallWeights& w,
                                 int64_t pairs, __m256i (&acc)[Rows][2]) {
  constexpr int64_t kHalf = kv::kPageTokens / 4;
  nibble_sums<Rows, Vectors>(woven, levels, nibble, w, 0, Grid ? std::min(pairs, kHalf) : pairs, acc);
  if (!Grid) return;
  __m256i second[Rows][2];
  nibble_sums<Rows, Vectors>(woven, levels, nibble, w, kHalf, pairs, second);
  const __m256i half = _mm256_set1_epi16(1 << 14);
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
    for (int c = 0; c < 2; ++c) {
      acc[r][c] = _mm256_add_epi16(_mm256_srai_epi16(acc[r][c], 1), _mm256_mulhrs_epi16(second[r][c], half));
    }
  }
}

// Weaves the codes of two tokens, `bytes` each and up to 16 to a vector.
template <int Vectors>
static inline void weave(const uint8_t* codes, int64_t bytes, uint8_t* woven) {
  __m256i* to = reinterpret_cast<__m256i*>(woven);
  if (Vectors == 2) {
    __m256i a = load_bytes(codes), b = load_bytes(codes + bytes);
    _mm256_store_si256(to, _mm256_unpacklo_epi8(a, b));
    _mm256_store_si256(to + 1, _mm256_unpackhi_epi8(a, b));
  } else {
    __m256i both = _mm256_permute4x64_epi64(load_tokens<2>(codes, bytes), 0xd8);
    _mm256_store_si256(to, _mm256_unpacklo_epi8(both, _mm256_shuffle_epi32(both, 0x4e)));
  }
}

// out[r] += sum of weights x values over the first `tokens` tokens.
template <bool Grid, int Rows, int Vectors>
static inline void small_values(const kv::Group& group, const SmallWeights& w, int64_t tokens, int64_t row,
                                float* out) {
  alignas(32) uint8_t woven[kv::kPageTokens / 2 * Vectors * 32];
  int64_t pairs = (tokens + 1) / 2, bytes = group.n / 4;
  for (int64_t t = 0; t < pairs; ++t) weave<Vectors>(group.codes + 2 * t * bytes, bytes, woven + t * Vectors * 32);
  const Levels levels = Grid ? Levels::of(-10, -3, 3, 10) : Levels::of(0, 1, 2, 3);
  for (int nibble = 0; nibble < 2; ++nibble) {
    __m256i sums[Vectors][Rows][2];
    for (int v = 0; v < Vectors; ++v) {
      nibble_values<Grid, Rows, Vectors>(woven + 32 * v, levels, nibble, w, pairs, sums[v]);
    }
    for (int r = 0; r < Rows; ++r) {
      for (int c = 0; c < 2; ++c) {
        __m256i stripe[Vectors];
        for (int v = 0; v < Vectors; ++v) stripe[v] = sums[v][r][c];
        add_stripe<Vectors>(stripe, bytes, w.unit[r], Grid ? 0 : w.zeros[r], out + r * row + (2 * nibble + c) * bytes);
      }
    }
  }
}

template <bool Grid, int Vectors>
static inline void small_values(const kv::Group& group, const SmallWeights& w, int64_t rows, int64_t tokens,
                                int64_t row, float* out) {
  switch (rows) {
    case 1:
      return small_values<Grid, 1, Vectors>(group, w, tokens, row, out);
    case 2:
      return small_values<Grid, 2, Vectors>(group, w, tokens, row, out);
    case 3:
      return small_values<Grid, 3, Vectors>(group, w, tokens, row, out);
    default:
      return small_values<Grid, 4, Vectors>(group, w, tokens, row, out);
  }
}

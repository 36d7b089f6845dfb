// Weights of 16 or 32 bits to codes of 8 or 4. Every operation that decides on a code is fp32 and its order does not
// depend on the vector width: the eight ratios tried are the lanes of a vector, and each sums its squared errors weight
// by weight. So all instruction sets, and the class ReferenceQuant, give the same codes.
//
//   8 bits:  scale = bf16(max |w| / 127)                 c = round(w / scale)
//   4 bits:  lo = r min(w, 0), hi = r max(w, 0)          r of 1, 0.95, ... 0.65 with the least squared error,
//            scale = bf16(hi / 15 - lo / 15)             of equal ones the largest
//            zero = round(-lo / scale)                   c = round(w / scale + zero)
//
// Codes come from the rounded scale, so its rounding costs nothing but range. A scale below 1e-30 becomes 0.

// 32 weights as vectors.
constexpr int kParts = 32 / kWidth;
constexpr int64_t kMaxParts = kMaxBlock / kWidth;

struct GroupCode {
  float scale, inverse;
  int32_t zero;
};

// The code of 8 bits for a group with this largest magnitude.
static inline GroupCode symmetric(float largest) {
  float scale = value(to_bf16(largest / 127.0f));
  if (scale < 1e-30f) return {0, 0, 0};
  return {scale, 1.0f / scale, 0};
}

template <int BITS>
static inline vi codes_of(vf w, const GroupCode& g) {
  vf c = multiply_add(w, splat(g.inverse), splat(static_cast<float>(g.zero)));
  return rounded(at_least(at_most(c, BITS == 8 ? 127.0f : 15.0f), BITS == 8 ? -127.0f : 0.0f));
}

static inline vf coding_error(vf w, vi c, const GroupCode& g) {
  return negative_multiply_add(splat(g.scale), to_floats(c - g.zero), w);
}

static inline vf magnitudes(vf x) { return (vf)((vi)x & 0x7fffffff); }

#if L4J_WIDTH == 16
static inline float smallest_in(vf x) { return _mm512_reduce_min_ps((__m512)x); }
static inline float greatest_in(vf x) { return _mm512_reduce_max_ps((__m512)x); }
#else
static inline float smallest_in(vf x) {
  __m128 m = _mm_min_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
  m = _mm_min_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_min_ss(m, _mm_movehdup_ps(m)));
}
static inline float greatest_in(vf x) { return -smallest_in(-x); }
#endif

// bf16 values nearest to positive finite ones.
static inline __m256 nearest_bf16(__m256 x) {
  __m256i bits = _mm256_castps_si256(x);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  return _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32(static_cast<int32_t>(0xffff0000))));
}

// The code of 4 bits for a group with all its weights in [lo, hi], lo <= 0 <= hi.
static inline GroupCode best_clip(const float* w, int64_t n, float lo, float hi) {
  const __m256 ratios = _mm256_setr_ps(1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f, 0.7f, 0.65f);
  const __m256 most = _mm256_set1_ps(15.0f), least = _mm256_setzero_ps();
  constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  __m256 from = _mm256_mul_ps(ratios, _mm256_set1_ps(lo)), to = _mm256_mul_ps(ratios, _mm256_set1_ps(hi));
  __m256 scale = nearest_bf16(_mm256_sub_ps(_mm256_div_ps(to, most), _mm256_div_ps(from, most)));
  __m256 large = _mm256_cmp_ps(scale, _mm256_set1_ps(1e-30f), _CMP_GE_OQ);
  __m256 inverse = _mm256_and_ps(_mm256_div_ps(_mm256_set1_ps(1.0f), scale), large);
  scale = _mm256_and_ps(scale, large);
  __m256 zero = _mm256_round_ps(_mm256_mul_ps(_mm256_sub_ps(least, from), inverse), kNearest);
  zero = _mm256_min_ps(zero, most);
  __m256 error = _mm256_setzero_ps();
  for (int64_t i = 0; i < n; ++i) {
    __m256 x = _mm256_set1_ps(w[i]);
    __m256 c = _mm256_fmadd_ps(x, inverse, zero);
    c = _mm256_round_ps(_mm256_max_ps(_mm256_min_ps(c, most), least), kNearest);
    __m256 e = _mm256_fnmadd_ps(scale, _mm256_sub_ps(c, zero), x);
    error = _mm256_fmadd_ps(e, e, error);
  }
  alignas(32) float errors[8], scales[8], inverses[8], zeros[8];
  _mm256_store_ps(errors, error);
  _mm256_store_ps(scales, scale);
  _mm256_store_ps(inverses, inverse);
  _mm256_store_ps(zeros, zero);
  int best = 0;
  for (int i = 1; i < 8; ++i) best = errors[i] < errors[best] ? i : best;
  return {scales[best], inverses[best], static_cast<int32_t>(zeros[best])};
}

static inline GroupCode best_clip(const vf* w, int64_t parts) {
  vf low{}, high{};
  for (int64_t i = 0; i < parts; ++i) low = w[i] < low ? w[i] : low, high = w[i] > high ? w[i] : high;
  return best_clip(reinterpret_cast<const float*>(w), parts * kWidth, smallest_in(low), greatest_in(high));
}

// Adds to report = {largest error, squared error, squared weights}.
template <int BITS>
static inline void store_group(const vf* w, int64_t parts, const GroupCode& g, uint8_t* codes, double* report) {
  vf squares{}, errors{}, largest{};
  for (int64_t i = 0; i < parts; i += kParts) {
    alignas(64) int32_t c[32];
    for (int j = 0; j < kParts; ++j) {
      vi code = codes_of<BITS>(w[i + j], g);
      vf e = coding_error(w[i + j], code, g);
      std::memcpy(c + j * kWidth, &code, sizeof code);
      squares = multiply_add(w[i + j], w[i + j], squares);
      errors = multiply_add(e, e, errors);
      largest = magnitudes(e) > largest ? magnitudes(e) : largest;
    }
    uint8_t* to = codes + i * kWidth * BITS / 8;
    if (BITS == 8) {
      for (int l = 0; l < 32; ++l) to[l] = static_cast<uint8_t>(c[l]);
    } else {
      for (int l = 0; l < 16; ++l) to[l] = static_cast<uint8_t>(c[l] | c[16 + l] << 4);
    }
  }
  report[0] = std::max<double>(report[0], greatest_in(largest));
  report[1] += sum(errors);
  report[2] += sum(squares);
}

template <class W>
static inline int64_t load_group(const W* w, int64_t valid, int64_t n, vf* out) {
  for (int64_t i = 0; i < n; i += kWidth) out[i / kWidth] = load_next(w + i, valid - i);
  return n / kWidth;
}

// The bits of the largest magnitude of a row; from 0x7f800000 on there is NaN or infinity in it.
template <class W>
static inline int32_t largest_bits(const W* w, int64_t K) {
  vi largest{};
  for (int64_t k = 0; k < K; k += kWidth) largest = largest_of(largest, (vi)load_next(w + k, K - k) & 0x7fffffff);
  return largest_in(largest);
}

template <class W>
static void quantize_row(const W* w, const QuantMatrix& to, bool whole, float largest, int64_t n, double* report) {
  uint8_t* codes = to.codes + n * to.row_bytes();
  vf group[kMaxParts];
  for (int64_t b = 0; b < to.blocks; ++b) {
    int64_t k = b * to.block, size = std::min(to.block, to.kp - k);
    int64_t parts = load_group(w + k, to.columns - k, size, group);
    GroupCode g;
    if (to.bits == 4) {
      g = best_clip(group, parts);
      to.zeros[n * to.blocks + b] = static_cast<uint8_t>(g.zero);
      store_group<4>(group, parts, g, codes + k / 2, report);
    } else {
      g = symmetric(whole ? largest : as_float(largest_bits(w + k, std::min(size, to.columns - k))));
      store_group<8>(group, parts, g, codes + k, report);
    }
    to.scales[n * to.blocks + b] = to_bf16(g.scale).bits;
  }
}

// Rows [n0, n1); report [rows][3]. Returns the first row with NaN or infinity, where it stops, else -1.
template <class W>
static int64_t quantize_typed(const W* w, int64_t ldw, const QuantMatrix& to, bool whole, double* report, int64_t n0,
                              int64_t n1) {
  for (int64_t n = n0; n < n1; ++n) {
    const W* row = w + n * ldw;
    int32_t bits = largest_bits(row, to.columns);
    if (bits >= 0x7f800000) return n;
    quantize_row(row, to, whole, as_float(bits), n, report + 3 * n);
  }
  return -1;
}

static int64_t quantize(int wtype, const void* w, int64_t ldw, const QuantMatrix& to, bool whole, double* report,
                        int64_t n0, int64_t n1) {
  switch (wtype) {
    case kF32:
      return quantize_typed(static_cast<const float*>(w), ldw, to, whole, report, n0, n1);
    case kBF16:
      return quantize_typed(static_cast<const bf16*>(w), ldw, to, whole, report, n0, n1);
    case kF16:
      return quantize_typed(static_cast<const f16*>(w), ldw, to, whole, report, n0, n1);
  }
  return -1;
}

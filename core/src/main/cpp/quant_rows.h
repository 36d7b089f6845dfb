// Rows of fp32 activations as 16-bit integers in blocks, see quant_layout.h. One read of the row for the largest
// magnitude of each block, one (from the cache) for its integers. A block with NaN or infinity gets the scale NaN, and
// so every product of its row is NaN; magnitudes below 1e-30 count as 1e-30, so that 1 / scale stays finite.

#if L4J_WIDTH == 16
static inline vi largest_of(vi a, vi b) { return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b); }
static inline int32_t largest_in(vi x) { return _mm512_reduce_max_epi32((__m512i)x); }
static inline vi rounded(vf x) { return (vi)_mm512_cvtps_epi32((__m512)x); }
static inline void store_s16(int16_t* p, vi x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16((__m512i)x));
}
static inline int32_t sum_of(vi x) { return _mm512_reduce_add_epi32((__m512i)x); }
#else
static inline vi largest_of(vi a, vi b) { return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b); }
static inline int32_t largest_in(vi x) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}
static inline vi rounded(vf x) { return (vi)_mm256_cvtps_epi32((__m256)x); }
static inline void store_s16(int16_t* p, vi x) {
  __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)x, (__m256i)x), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
static inline int32_t sum_of(vi x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
#endif

static inline float as_float(int32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// n padded elements of which `valid` exist.
static inline void quantize_block(const float* x, int64_t valid, int64_t n, int16_t* q, float& scale, float& offset) {
  vi largest{};
  for (int64_t i = 0; i < valid; i += kWidth) {
    largest = largest_of(largest, (vi)load_next(x + i, valid - i) & 0x7fffffff);
  }
  int32_t bits = largest_in(largest);  // magnitudes are ordered as their bits are, NaN and infinity above all
  if (bits >= 0x7f800000) {
    std::memset(q, 0, n * sizeof(int16_t));
    scale = offset = NAN;
    return;
  }
  float max = std::max(as_float(bits), 1e-30f);
  vf inverse = splat(32767.0f / max);
  vi sums{};
  for (int64_t i = 0; i < n; i += kWidth) {
    vi c = i < valid ? rounded(load_next(x + i, valid - i) * inverse) : vi{};
    sums += c;
    store_s16(q + i, c);
  }
  scale = max / 32767.0f;
  offset = scale * static_cast<float>(sum_of(sums));
}

// Rows [from, to) of x against the layout of w.
static void quantize_rows(const QuantMatrix& w, const float* x, int64_t ldx, const QuantRows& out, int64_t from,
                          int64_t to) {
  for (int64_t m = from; m < to; ++m) {
    float *scales = out.scales + m * out.ld, *offsets = out.offsets + m * out.ld;
    for (int64_t b = 0; b < w.blocks; ++b) {
      int64_t k = b * w.block, n = std::min(w.block, w.kp - k);
      quantize_block(x + m * ldx + k, std::min(n, w.columns - k), n, out.q + m * w.kp + k, scales[b], offsets[b]);
    }
    for (int64_t b = w.blocks; b < out.ld; ++b) scales[b] = offsets[b] = 0;
  }
}

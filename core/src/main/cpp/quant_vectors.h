// Vectors of integers for products with quantized weights, the same names at every width.

// vs: 2 * kWidth integers of 16 bits, or 4 * kWidth of 8.
#if L4J_WIDTH == 16
typedef __m512i vs;
static inline vs load_s16(const int16_t* p) { return _mm512_loadu_si512(p); }
static inline vs load_s8(const uint8_t* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
static inline vs splat_s16(int16_t x) { return _mm512_set1_epi16(x); }
static inline vs splat_s32(int32_t x) { return _mm512_set1_epi32(x); }
static inline vs low_nibbles(vs x) { return _mm512_and_si512(x, splat_s16(0x0f0f)); }
static inline vs high_nibbles(vs x) { return low_nibbles(_mm512_srli_epi16(x, 4)); }
static inline vs add_s16(vs a, vs b) { return _mm512_add_epi16(a, b); }
static inline vi multiply_pairs(vs a, vs b) { return (vi)_mm512_madd_epi16(a, b); }
static inline vs multiply_bytes(vs unsigned_a, vs b) { return _mm512_maddubs_epi16(unsigned_a, b); }
static inline vf to_floats(vi x) { return (vf)_mm512_cvtepi32_ps((__m512i)x); }
static inline vf multiply_add(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline vf negative_multiply_add(vf a, vf b, vf c) {
  return (vf)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
static inline vi load_bytes(const uint8_t* p) {
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline vi load_signed_bytes(const uint8_t* p) {
  return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
#else
typedef __m256i vs;
static inline vs load_s16(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
static inline vs load_s8(const uint8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline vs splat_s16(int16_t x) { return _mm256_set1_epi16(x); }
static inline vs splat_s32(int32_t x) { return _mm256_set1_epi32(x); }
static inline vs low_nibbles(vs x) { return _mm256_and_si256(x, splat_s16(0x0f0f)); }
static inline vs high_nibbles(vs x) { return low_nibbles(_mm256_srli_epi16(x, 4)); }
static inline vs add_s16(vs a, vs b) { return _mm256_add_epi16(a, b); }
static inline vi multiply_pairs(vs a, vs b) { return (vi)_mm256_madd_epi16(a, b); }
static inline vs multiply_bytes(vs unsigned_a, vs b) { return _mm256_maddubs_epi16(unsigned_a, b); }
static inline vf to_floats(vi x) { return (vf)_mm256_cvtepi32_ps((__m256i)x); }
static inline vf multiply_add(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vf negative_multiply_add(vf a, vf b, vf c) {
  return (vf)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
static inline vi load_bytes(const uint8_t* p) {
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
static inline vi load_signed_bytes(const uint8_t* p) {
  return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
#endif

static inline vs load_codes(const uint8_t* p) { return load_s16(reinterpret_cast<const int16_t*>(p)); }
static inline vf scales_at(const uint16_t* p) { return load(reinterpret_cast<const bf16*>(p)); }

// The first N of the floats from p on, kWidth / N lanes each; kWidth floats are read.
template <int N>
static inline vf spread(const float* p) {
  if (N == 1) return splat(p[0]);
  vi lane;
  for (int i = 0; i < kWidth; ++i) lane[i] = i * N / kWidth;
  return __builtin_shuffle(load(p), lane);
}

// The columns of codes of 4 bits that one vector of them holds: those of its low nibbles, then those of its high ones.
constexpr int64_t kNibbleStep = 8 * kWidth;

// Zeros, as for vf.
template <int R, int C>
static inline void clear(vi (&x)[R][C]) {
  for (int i = 0; i < R; ++i) {
    for (int j = 0; j < C; ++j) x[i][j] = vi{};
  }
}

// Calls work with the bits and the block of a layout as constants.
template <class Work>
static inline void with_format(const QuantMatrix& w, Work work) {
  auto with_bits = [&](auto bits) {
    switch (w.block) {
      case 32:
        return work(bits, std::integral_constant<int, 32>{});
      case 64:
        return work(bits, std::integral_constant<int, 64>{});
      case kMaxBlock:
        return work(bits, std::integral_constant<int, kMaxBlock>{});
    }
  };
  w.bits == 8 ? with_bits(std::integral_constant<int, 8>{}) : with_bits(std::integral_constant<int, 4>{});
}

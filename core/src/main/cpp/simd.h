// A vector of L4J_WIDTH floats, the same code for every instruction set. Included by foreach_isa.h inside
// the namespace of an instruction set; a library with two kernel files sees it twice, hence the guard per
// width. With L4J_HALVES, 16 floats are two vectors of AVX2.
#if L4J_WIDTH == 8 && !defined(L4J_SIMD_8) || L4J_WIDTH == 16 && !defined(L4J_SIMD_16)
#if L4J_WIDTH == 8
#define L4J_SIMD_8
#else
#define L4J_SIMD_16
#endif

constexpr int kWidth = L4J_WIDTH;

typedef float vf __attribute__((vector_size(L4J_WIDTH * 4)));
typedef int32_t vi __attribute__((vector_size(L4J_WIDTH * 4)));
typedef float vf_mem __attribute__((vector_size(L4J_WIDTH * 4), aligned(4), may_alias));

#if defined(L4J_HALVES)
static inline vf join(avx2::vf low, avx2::vf high) {
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
static inline avx2::vf low_half(vf v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
static inline avx2::vf high_half(vf v) { return __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }
#endif

static inline vf splat(float x) { return x - vf{}; }
static inline vf load(const float* p) { return *reinterpret_cast<const vf_mem*>(p); }
static inline vf load(const bf16* p) {
#if defined(L4J_HALVES)
  return join(avx2::load(p), avx2::load(p + 8));
#elif L4J_WIDTH == 16
  return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16);
#else
  return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))), 16);
#endif
}
static inline vf load(const f16* p) {
#if defined(L4J_HALVES)
  return join(avx2::load(p), avx2::load(p + 8));
#elif L4J_WIDTH == 16
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#else
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#endif
}
// Zeros, lane by register: "= {}" would fill the array in memory before it becomes registers.
template <int R, int C>
static inline void clear(vf (&x)[R][C]) {
  for (int i = 0; i < R; ++i) {
    for (int j = 0; j < C; ++j) x[i][j] = vf{};
  }
}
static inline void store(float* p, vf v) { *reinterpret_cast<vf_mem*>(p) = v; }

static inline float value(float x) { return x; }
static inline float value(bf16 x) {
  uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}
static inline float value(f16 x) { return _cvtsh_ss(x.bits); }

static inline bf16 to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if (x != x) return bf16{static_cast<uint16_t>((bits >> 16) | 0x40)};
  return bf16{static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}
static inline f16 to_f16(float x) { return f16{static_cast<uint16_t>(_cvtss_sh(x, 0))}; }

static inline float narrowed(float, float x) { return x; }
static inline bf16 narrowed(bf16, float x) { return to_bf16(x); }
static inline f16 narrowed(f16, float x) { return to_f16(x); }

// Rounds to nearest even; NaN stays NaN.
static inline void store(bf16* p, vf v) {
#if defined(L4J_HALVES)
  avx2::store(p, low_half(v));
  avx2::store(p + 8, high_half(v));
#else
  vi bits = (vi)v;
  vi rounded = (bits + (0x7fff + ((bits >> 16) & 1))) >> 16;
  vi quiet = (bits >> 16) | 0x40;
  vi halves = (v == v) ? rounded : quiet;
#if L4J_WIDTH == 16
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16((__m512i)halves));
#else
  __m256i low = _mm256_and_si256((__m256i)halves, _mm256_set1_epi32(0xffff));
  __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
#endif
#endif
}
static inline void store(f16* p, vf v) {
#if defined(L4J_HALVES)
  avx2::store(p, low_half(v));
  avx2::store(p + 8, high_half(v));
#elif L4J_WIDTH == 16
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
#else
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
#endif
}

// The first n < kWidth elements, zeros behind them.
template <class T>
static inline vf load_part(const T* p, int64_t n) {
  vf v{};
  for (int64_t i = 0; i < n; ++i) v[i] = value(p[i]);
  return v;
}
template <class T>
static inline void store_part(T* p, vf v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = narrowed(T{}, v[i]);
}

// The next n elements, or a whole vector of them.
template <class T>
static inline vf load_next(const T* p, int64_t n) {
  return n >= kWidth ? load(p) : load_part(p, n);
}
template <class T>
static inline void store_next(T* p, vf v, int64_t n) {
  n >= kWidth ? store(p, v) : store_part(p, v, n);
}

// Folds the upper half onto the lower until one lane is left.
static inline float sum(vf v) {
#if defined(L4J_HALVES)
  __m256 half = (__m256)(low_half(v) + high_half(v));
#elif L4J_WIDTH == 16
  __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
#else
  __m256 half = (__m256)v;
#endif
  __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

// e^x to about 1 ulp over the whole range: 2^n times a degree-6 polynomial on [-ln2/2, ln2/2]; below -87.3
// it gives 0, above 88.7 infinity, NaN stays NaN.
static inline vf exp(vf x) {
  const vf low = splat(-87.33654f), high = splat(88.72283f);
  vf clamped = x < low ? low : x;
  clamped = clamped > high ? high : clamped;
  const vf magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  vf shifted = clamped * splat(1.44269504f) + magic;
  vf n = shifted - magic;
  vf r = clamped - n * splat(0.693359375f);
  r = r - n * splat(-2.12194440e-4f);
  vf p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * r * r + r + splat(1.0f);
  // 2^n in two halves, so that n = 128 does not overflow before it must.
  vi whole = (vi)shifted - (vi)magic;
  vi half = whole >> 1;
  vf scale1 = (vf)((half + 127) << 23);
  vf scale2 = (vf)((whole - half + 127) << 23);
  vf result = p * scale1 * scale2;
  result = x > high ? splat(INFINITY) : result;
  result = x < low ? vf{} : result;
  return x != x ? x : result;
}
// min and max with a constant; NaN stays NaN.
static inline vf at_most(vf x, float high) {
#if defined(L4J_HALVES)
  return join(avx2::at_most(low_half(x), high), avx2::at_most(high_half(x), high));
#elif L4J_WIDTH == 16
  return (vf)_mm512_min_ps((__m512)splat(high), (__m512)x);
#else
  return (vf)_mm256_min_ps((__m256)splat(high), (__m256)x);
#endif
}
static inline vf at_least(vf x, float low) {
#if defined(L4J_HALVES)
  return join(avx2::at_least(low_half(x), low), avx2::at_least(high_half(x), low));
#elif L4J_WIDTH == 16
  return (vf)_mm512_max_ps((__m512)splat(low), (__m512)x);
#else
  return (vf)_mm256_max_ps((__m256)splat(low), (__m256)x);
#endif
}

// 1 + e^-x: e^-x as in exp, but below 1e-38 it is taken as that and above 2e38 as infinity, which spares the
// special cases.
static inline vf one_plus_exp_minus(vf x) {
  const vf magic = splat(12582912.0f);
  vf shifted = at_least(at_most(x * splat(-1.44269504f), 128.0f), -126.0f) + magic;
  vf n = shifted - magic;
  vf y = at_least(at_most(x, 88.0f), -89.0f);
  vf r = n * splat(-0.693359375f) - y;
  r = r + n * splat(2.12194440e-4f);
  vf p = splat(1.9875691500e-4f);
  p = p * r + splat(1.3981999507e-3f);
  p = p * r + splat(8.3334519073e-3f);
  p = p * r + splat(4.1665795894e-2f);
  p = p * r + splat(1.6666665459e-1f);
  p = p * r + splat(5.0000001201e-1f);
  p = p * r * r + r + splat(1.0f);
  vf power = (vf)(((vi)shifted - (vi)magic + 127) << 23);
  return p * power + splat(1.0f);
}
static inline vf sigmoid(vf x) { return splat(1.0f) / one_plus_exp_minus(x); }
static inline vf silu(vf x) { return x / one_plus_exp_minus(x); }

#endif

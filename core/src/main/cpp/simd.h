// A vector of L4J_WIDTH floats, the same code for every instruction set. Included by foreach_isa.h inside
// the namespace of an instruction set; a library with two kernel files sees it twice, hence the guard per
// width.
#if L4J_WIDTH == 8 && !defined(L4J_SIMD_8) || L4J_WIDTH == 16 && !defined(L4J_SIMD_16)
#if L4J_WIDTH == 8
#define L4J_SIMD_8
#else
#define L4J_SIMD_16
#endif

constexpr int kWidth = L4J_WIDTH;

typedef float vf __attribute__((vector_size(L4J_WIDTH * 4)));
typedef int32_t vi __attribute__((vector_size(L4J_WIDTH * 4)));
typedef uint32_t vu __attribute__((vector_size(L4J_WIDTH * 4)));
typedef float vf_mem __attribute__((vector_size(L4J_WIDTH * 4), aligned(4), may_alias));
typedef uint16_t vh_mem __attribute__((vector_size(L4J_WIDTH * 2), aligned(2), may_alias));
typedef uint16_t vh __attribute__((vector_size(L4J_WIDTH * 2)));

static inline vf splat(float x) { return x - vf{}; }
static inline vf load(const float* p) { return *reinterpret_cast<const vf_mem*>(p); }
static inline vf load(const bf16* p) {
  vu wide = __builtin_convertvector(*reinterpret_cast<const vh_mem*>(p), vu) << 16;
  return (vf)wide;
}
static inline vf load(const f16* p) {
#if L4J_WIDTH == 16
  return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#else
  return (vf)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#endif
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

// The first n < kWidth elements, zeros behind them.
template <class T>
static inline vf load_part(const T* p, int64_t n) {
  vf v{};
  for (int64_t i = 0; i < n; ++i) v[i] = value(p[i]);
  return v;
}
static inline void store_part(float* p, vf v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}

static inline float sum(vf v) {
  float s = 0;
  for (int step = kWidth / 2; step >= 1; step /= 2) {
    for (int i = 0; i < step; ++i) v[i] += v[i + step];
  }
  s = v[0];
  return s;
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
static inline vf sigmoid(vf x) { return splat(1.0f) / (splat(1.0f) + exp(-x)); }
static inline vf silu(vf x) { return x / (splat(1.0f) + exp(-x)); }

#endif

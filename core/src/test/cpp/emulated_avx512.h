// The instructions of AVX-512 and its VNNI that kernels name, as plain loops, for tests on machines without them. What simd.h has
// two halves for (L4J_HALVES) is not among them.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace emulated {

template <class T, class V>
struct Lanes {
  T at[sizeof(V) / sizeof(T)];
  explicit Lanes(V v) { std::memcpy(at, &v, sizeof v); }
  Lanes() {}
  V all() const {
    V v;
    std::memcpy(&v, at, sizeof v);
    return v;
  }
};
using Ints = Lanes<int32_t, __m512i>;
using Shorts = Lanes<int16_t, __m512i>;
using Floats = Lanes<float, __m512>;

inline __m512i load(const void* p) {
  __m512i v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class To, class From, class Narrow>
inline __m512i widen(Narrow narrow) {
  Lanes<From, Narrow> from(narrow);
  Lanes<To, __m512i> to;
  for (size_t i = 0; i < sizeof(to.at) / sizeof(To); ++i) to.at[i] = from.at[i];
  return to.all();
}
inline __m512i set1(int16_t x) {
  Shorts to;
  for (int16_t& t : to.at) t = x;
  return to.all();
}
inline __m512i conjunction(__m512i a, __m512i b) {
  Lanes<int64_t, __m512i> x(a), y(b);
  for (int i = 0; i < 8; ++i) x.at[i] &= y.at[i];
  return x.all();
}
inline __m512i shift_right(__m512i a, int n) {
  Shorts x(a);
  for (int16_t& t : x.at) t = static_cast<uint16_t>(t) >> n;
  return x.all();
}
inline __m512i multiply_pairs(__m512i a, __m512i b) {
  Shorts x(a), y(b);
  Ints to;
  for (int i = 0; i < 16; ++i) to.at[i] = x.at[2 * i] * y.at[2 * i] + x.at[2 * i + 1] * y.at[2 * i + 1];
  return to.all();
}
inline __m512i multiply_bytes(__m512i a, __m512i b) {
  Lanes<uint8_t, __m512i> x(a);
  Lanes<int8_t, __m512i> y(b);
  Shorts to;
  for (int i = 0; i < 32; ++i) to.at[i] = x.at[2 * i] * y.at[2 * i] + x.at[2 * i + 1] * y.at[2 * i + 1];
  return to.all();
}
inline __m512i add_pairs(__m512i sum, __m512i a, __m512i b) {
  Ints to(sum), products(multiply_pairs(a, b));
  for (int i = 0; i < 16; ++i) to.at[i] += products.at[i];
  return to.all();
}
inline __m512i add_fours(__m512i sum, __m512i a, __m512i b) {
  Ints to(sum);
  Lanes<uint8_t, __m512i> x(a);
  Lanes<int8_t, __m512i> y(b);
  for (int i = 0; i < 64; ++i) to.at[i / 4] += x.at[i] * y.at[i];
  return to.all();
}
inline __m512i add_shorts(__m512i a, __m512i b) {
  Shorts x(a), y(b);
  for (int i = 0; i < 32; ++i) x.at[i] += y.at[i];
  return x.all();
}
inline __m512i set1_int(int32_t x) {
  Ints to;
  for (int32_t& t : to.at) t = x;
  return to.all();
}
inline __m512 to_floats(__m512i a) {
  Ints x(a);
  Floats to;
  for (int i = 0; i < 16; ++i) to.at[i] = static_cast<float>(x.at[i]);
  return to.all();
}
inline __m512 fused(__m512 a, __m512 b, __m512 c, float sign) {
  Floats x(a), y(b), z(c);
  for (int i = 0; i < 16; ++i) z.at[i] = std::fma(sign * x.at[i], y.at[i], z.at[i]);
  return z.all();
}
inline __m512i max(__m512i a, __m512i b) {
  Ints x(a), y(b);
  for (int i = 0; i < 16; ++i) x.at[i] = std::max(x.at[i], y.at[i]);
  return x.all();
}
template <class L, class Fold>
inline auto fold(L x, Fold f) {
  auto total = x.at[0];
  for (int i = 1; i < 16; ++i) total = f(total, x.at[i]);
  return total;
}
inline __m512i nearest(__m512 a) {
  Floats x(a);
  Ints to;
  for (int i = 0; i < 16; ++i) to.at[i] = static_cast<int32_t>(std::nearbyint(x.at[i]));
  return to.all();
}
inline __m256i saturated(__m512i a) {
  Ints x(a);
  Lanes<int16_t, __m256i> to;
  for (int i = 0; i < 16; ++i) to.at[i] = std::min(32767, std::max(-32768, x.at[i]));
  return to.all();
}

}  // namespace emulated

#define _mm512_loadu_si512(p) emulated::load(p)
#define _mm512_cvtepi8_epi16(x) emulated::widen<int16_t, int8_t>(x)
#define _mm512_cvtepu8_epi16(x) emulated::widen<int16_t, uint8_t>(x)
#define _mm512_cvtepi8_epi32(x) emulated::widen<int32_t, int8_t>(x)
#define _mm512_cvtepu8_epi32(x) emulated::widen<int32_t, uint8_t>(x)
#define _mm512_set1_epi16(x) emulated::set1(x)
#define _mm512_set1_epi32(x) emulated::set1_int(x)
#define _mm512_add_epi16(a, b) emulated::add_shorts(a, b)
#define _mm512_maddubs_epi16(a, b) emulated::multiply_bytes(a, b)
#define _mm512_and_si512(a, b) emulated::conjunction(a, b)
#define _mm512_srli_epi16(a, n) emulated::shift_right(a, n)
#define _mm512_madd_epi16(a, b) emulated::multiply_pairs(a, b)
#define _mm512_dpwssd_epi32(sum, a, b) emulated::add_pairs(sum, a, b)
#define _mm512_dpbusd_epi32(sum, a, b) emulated::add_fours(sum, a, b)
#define _mm512_cvtepi32_ps(a) emulated::to_floats(a)
#define _mm512_fmadd_ps(a, b, c) emulated::fused(a, b, c, 1)
#define _mm512_fnmadd_ps(a, b, c) emulated::fused(a, b, c, -1)
#define _mm512_max_epi32(a, b) emulated::max(a, b)
#define _mm512_reduce_max_epi32(a) emulated::fold(emulated::Ints(a), [](int x, int y) { return std::max(x, y); })
#define _mm512_reduce_add_epi32(a) emulated::fold(emulated::Ints(a), [](int x, int y) { return x + y; })
#define _mm512_reduce_min_ps(a) emulated::fold(emulated::Floats(a), [](float x, float y) { return std::min(x, y); })
#define _mm512_reduce_max_ps(a) emulated::fold(emulated::Floats(a), [](float x, float y) { return std::max(x, y); })
#define _mm512_cvtps_epi32(a) emulated::nearest(a)
#define _mm512_cvtsepi32_epi16(a) emulated::saturated(a)
#define _mm512_stream_ps(p, a) std::memcpy(p, &(const __m512&)(a), 64)

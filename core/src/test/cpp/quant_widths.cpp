// The kernels over quantized weights at the width of AVX-512, held against those of AVX2 on a machine without AVX-512:
// its instructions are plain loops here. Codes must be the same, products close. Prints what differs; status 0 if
// nothing does:
//
//   g++ -std=c++17 -O2 -fno-math-errno -fno-trapping-math -w -DL4J_EMULATED -Icore/src/main/cpp
//       core/src/test/cpp/quant_widths.cpp -o /tmp/quant_widths && /tmp/quant_widths
#include <cstdio>
#include <cstdlib>
#include <random>
#include <type_traits>
#include <vector>

#include "isa.h"
#include "quant_layout.h"

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

#include "quant_functions.h"

// One matrix with what belongs to it, made and used by the functions of one instruction set.
struct Made {
  std::vector<uint8_t> codes, zeros;
  std::vector<uint16_t> scales;
  std::vector<char> rows, panels;
  std::vector<float> out, many, back;
  l4j::QuantMatrix matrix;

  Made(const l4j::quant::Table& kernels, const std::vector<float>& w, const std::vector<float>& x, int64_t N, int64_t K,
       int64_t M, int64_t bits, int64_t block, bool whole) {
    int64_t kp = (K + 31) / 32 * 32, blocks = (kp + block - 1) / block;
    codes.resize(N * kp * bits / 8 + 64);
    zeros.resize(N * blocks + 64);
    scales.resize(N * blocks + 32);
    out.resize(M * N);
    many.resize(M * N);
    back.resize(N * K);
    matrix = {codes.data(), scales.data(), zeros.data(), bits, K, kp, block, blocks};
    rows.resize(l4j::QuantRows::bytes(M, matrix));
    panels.resize(l4j::QuantPanels::at(nullptr, matrix, kernels.panel).panel_bytes());
    std::vector<double> report(3 * N);
    kernels.quantize(l4j::kF32, w.data(), K, matrix, whole, report.data(), 0, N);
    kernels.dequantize(matrix, back.data(), K, 0, N);
    l4j::QuantRows coded = l4j::QuantRows::at(rows.data(), M, matrix);
    kernels.quantize_rows(matrix, x.data(), K, coded, 0, M);
    kernels.quant_gemm(matrix, coded, out.data(), N, M, 0, N);
    kernels.quant_pack(matrix, x.data(), K, M, panels.data(), 0, 1);
    kernels.quant_panel_gemm(matrix, panels.data(), many.data(), N, M, 0, N);
  }
};

int main() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  constexpr int64_t N = 7, M = 5;
  int wrong = 0, checked = 0;
  for (int64_t K : {1, 31, 32, 33, 63, 64, 65, 96, 127, 129, 161, 257, 545, 1312, 2100}) {
    std::vector<float> w(N * K), x(M * K);
    for (float& v : w) v = normal(random);
    for (float& v : x) v = normal(random);
    for (int64_t bits : {8, 4}) {
      for (int64_t block : {32, 64, 128}) {
        bool whole = bits == 8 && block == 128;
        Made narrow(l4j::quant::kTables[l4j::kAvx2], w, x, N, K, M, bits, block, whole);
        Made wide(l4j::quant::kTables[l4j::kAvx512], w, x, N, K, M, bits, block, whole);
        bool same = narrow.codes == wide.codes && narrow.scales == wide.scales && narrow.zeros == wide.zeros &&
                    (bits == 4 || narrow.rows == wide.rows) && narrow.back == wide.back &&
                    narrow.many == wide.many;  // in 4 bits the order of rows goes by the width
        double error = 0, norm = 0;
        for (size_t i = 0; i < wide.out.size(); ++i) {
          error += std::pow(double(wide.out[i]) - narrow.out[i], 2);
          error += std::pow(double(wide.many[i]) - narrow.out[i], 2);
          norm += std::pow(double(narrow.out[i]), 2);
        }
        ++checked;
        if (!same || !(error <= 1e-12 * norm)) {
          ++wrong;
          printf("int%ld/%ld K=%ld: codes %s, NMSE of products %g\n", (long)bits, (long)block, (long)K,
                 same ? "alike" : "differ", error / norm);
        }
      }
    }
  }
  printf("%d of %d cases differ\n", wrong, checked);
  return wrong != 0;
}

// tiles.h in plain C++, rounded as the description of TDPBF16PS says: the even and the odd elements of a row each
// summed by fused multiply-adds, both sums added, then added to the tile; subnormals are zeros on the way in and out.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace l4j::tiles {

struct Tile {
  uint32_t words[16][16];
};

// The tiles of a thread, and what it has configured them for: 0 is nothing.
struct Emulated {
  Tile tiles[8];
  int depth = 0;

  static Emulated& of_thread() {
    static thread_local Emulated emulated;
    return emulated;
  }
  // Real tiles fault without configuration.
  static Tile& tile(int i) {
    Emulated& self = of_thread();
    if (self.depth == 0) std::abort();
    return self.tiles[i];
  }
  static int rows(int i) { return i >= 6 ? of_thread().depth / 4 : 16; }
  static int bytes(int i) { return i == 4 || i == 5 ? of_thread().depth : 64; }
};

class Session {
 public:
  explicit Session(int depth = 64) {
    Emulated& self = Emulated::of_thread();
    if (self.depth != 0 || depth < 4 || depth > 64 || depth % 4 != 0) std::abort();
    self.depth = depth;
    std::memset(self.tiles, 0, sizeof self.tiles);
  }
  ~Session() { Emulated::of_thread().depth = 0; }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
};

template <int To>
static inline void zero() {
  std::memset(&Emulated::tile(To), 0, sizeof(Tile));
}

template <int To, class T>
static inline void load(const T* from, int64_t stride) {
  Tile& to = Emulated::tile(To);
  std::memset(&to, 0, sizeof to);
  for (int i = 0; i < Emulated::rows(To); ++i) std::memcpy(to.words[i], from + i * stride, Emulated::bytes(To));
}
template <int From, class T>
static inline void store(T* to, int64_t stride) {
  const Tile& from = Emulated::tile(From);
  for (int i = 0; i < Emulated::rows(From); ++i) std::memcpy(to + i * stride, from.words[i], Emulated::bytes(From));
}

#pragma GCC push_options
#pragma GCC target("avx2,fma")
typedef float Eight __attribute__((vector_size(32)));
typedef uint32_t EightWords __attribute__((vector_size(32)));

static inline float even(uint32_t pair) {
  uint32_t bits = pair << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
static inline float odd(uint32_t pair) {
  uint32_t bits = pair & 0xffff0000;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Columns j to j + 8 of row i. Subnormals are flushed by the mode that the caller has set.
static __attribute__((noinline)) void dot_products(const uint32_t* a, const Tile& b, uint32_t* sums, int j) {
  Eight evens{}, odds{};
  for (int r = 0; r < 16; ++r) {
    EightWords pairs;
    std::memcpy(&pairs, b.words[r] + j, 32);
    evens = (Eight)_mm256_fmadd_ps(_mm256_set1_ps(even(a[r])), (__m256)(pairs << 16), (__m256)evens);
    odds = (Eight)_mm256_fmadd_ps(_mm256_set1_ps(odd(a[r])), (__m256)(pairs & 0xffff0000), (__m256)odds);
  }
  Eight sum;
  std::memcpy(&sum, sums + j, 32);
  sum = sum + (evens + odds);
  std::memcpy(sums + j, &sum, 32);
}

template <int Sums, int A, int B>
static inline void multiply_add() {
  const unsigned mode = _mm_getcsr();
  // Flush to zero, subnormals are zeros, round to nearest, no exceptions.
  _mm_setcsr(0x8000 | 0x0040 | 0x1f80);
  Tile &sums = Emulated::tile(Sums), &a = Emulated::tile(A), &b = Emulated::tile(B);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; j += 8) dot_products(a.words[i], b, sums.words[i], j);
  }
  _mm_setcsr(mode);
}
#pragma GCC pop_options

// Rows and words beyond the depth are zeros, which add nothing.
template <class Left, class Right>
static inline void multiply_add_bytes(int to, int left, int right) {
  Tile &sums = Emulated::tile(to), &a = Emulated::tile(left), &b = Emulated::tile(right);
  for (int i = 0; i < 16; ++i) {
    auto row = reinterpret_cast<const Left*>(a.words[i]);
    for (int j = 0; j < 16; ++j) {
      int32_t sum = static_cast<int32_t>(sums.words[i][j]);
      for (int r = 0; r < 16; ++r) {
        auto word = reinterpret_cast<const Right*>(&b.words[r][j]);
        for (int n = 0; n < 4; ++n) sum += row[4 * r + n] * word[n];
      }
      sums.words[i][j] = static_cast<uint32_t>(sum);
    }
  }
}
template <int Sums, int A, int B>
static inline void multiply_add_ss() {
  multiply_add_bytes<int8_t, int8_t>(Sums, A, B);
}
template <int Sums, int A, int B>
static inline void multiply_add_su() {
  multiply_add_bytes<int8_t, uint8_t>(Sums, A, B);
}
template <int Sums, int A, int B>
static inline void multiply_add_us() {
  multiply_add_bytes<uint8_t, int8_t>(Sums, A, B);
}

}  // namespace l4j::tiles

// Keys that were rotated over heads before the rotary embedding, made whole again for a strip of 16 tokens:
//
//   codes -> numbers -> channel order[i] = stored channel i -> Had over `rotation` channels -> R_t
//
// Tokens lie along the lanes, channels along memory: the permutation is a choice of address, the butterflies and
// the rotary embedding need no shuffles. A strip is restored once for all heads. Numbers are integers: sums of
// them are exact, and cheaper than those of floats. small_strip.h holds them in 16 bits, wide_strip.h in 32.

constexpr int64_t kStrip = 16;

// Memory that begins with a cache line: a vector that lies across two is stored at half the speed.
template <class T>
struct Lines {
  std::vector<T> held;

  void reserve(int64_t n) {
    if (static_cast<int64_t>(held.size()) < n + kLine) held.resize(n + kLine);
  }
  T* data() {
    constexpr uintptr_t kMask = 63;
    return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(held.data()) + kMask) & ~kMask);
  }

 private:
  static constexpr int64_t kLine = 64 / sizeof(T);
};

template <int Radix>
static inline void butterflies(__m256i* x, __m256i (*add)(__m256i, __m256i), __m256i (*sub)(__m256i, __m256i)) {
#pragma GCC unroll 3
  for (int stride = 1; stride < Radix; stride *= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < Radix; ++i) {
      if (i & stride) continue;
      __m256i a = x[i], b = x[i + stride];
      x[i] = add(a, b);
      x[i + stride] = sub(a, b);
    }
  }
}

// The eight tiles of AMX. Registers 0 to 3 hold sums, 16 x 16 of 32 bits; 4 and 5 left operands, 16 rows of `depth`
// bytes; 6 and 7 right ones, depth / 4 rows of 16 words, each the pair of bf16 or the four bytes that meet one word
// of a left row. Registers are named by template arguments.
//
// Written out in assembly, because the intrinsics of GCC 12 do not say that loading a tile reads memory: stores before
// it could be moved behind it. With L4J_EMULATED, for tests on any machine, tiles are arrays.
#pragma once

#include <cstdint>

#ifdef L4J_EMULATED
#include "emulated_tiles.h"
#else

namespace l4j::tiles {

// Tiles configured for products of `depth` bytes, 64 at most, from here to the end of its scope. Belongs to the thread.
class Session {
 public:
  explicit Session(int depth = 64) {
    alignas(64) Config config = {};
    config.palette = 1;
    for (int i = 0; i < 8; ++i) {
      config.bytes[i] = i == 4 || i == 5 ? depth : 64;
      config.rows[i] = i >= 6 ? depth / 4 : 16;
    }
    asm volatile("ldtilecfg %0" ::"m"(config));
  }
  ~Session() { asm volatile("tilerelease"); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

 private:
  struct Config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  };
  static_assert(sizeof(Config) == 64);
};

template <int To>
static inline void zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(To));
}

// Rows are `stride` elements apart.
template <int To, class T>
static inline void load(const T* from, int64_t stride) {
  int64_t bytes = stride * sizeof(T);
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(bytes), "i"(To) : "memory");
}
template <int From, class T>
static inline void store(T* to, int64_t stride) {
  int64_t bytes = stride * sizeof(T);
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(bytes), "i"(From) : "memory");
}

// Sums[i][j] += sum over r of A[i][2r] B[r][2j] + A[i][2r+1] B[r][2j+1], in bf16
template <int Sums, int A, int B>
static inline void multiply_add() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
}

// The same of four bytes a word, exact: signed by signed, signed by unsigned, unsigned by signed.
template <int Sums, int A, int B>
static inline void multiply_add_ss() {
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
}
template <int Sums, int A, int B>
static inline void multiply_add_su() {
  asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
}
template <int Sums, int A, int B>
static inline void multiply_add_us() {
  asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
}

}  // namespace l4j::tiles

#endif

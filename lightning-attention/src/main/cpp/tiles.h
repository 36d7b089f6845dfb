// The eight tiles of AMX, each of 16 rows of 64 bytes: fp32 sums, or pairs of bf16. Tile registers are named by
// template arguments.
//
// Written out in assembly, because the intrinsics of GCC 12 do not say that loading a tile reads memory: stores before
// it could be moved behind it. With L4J_EMULATED, for tests on any machine, tiles are arrays.
#pragma once

#include <cstdint>

#ifdef L4J_EMULATED
#include "emulated_tiles.h"
#else

namespace l4j::tiles {

// All tiles at full size, from here to the end of its scope. Belongs to the thread.
class Session {
 public:
  Session() {
    alignas(64) Config config = {};
    config.palette = 1;
    for (int i = 0; i < 8; ++i) {
      config.bytes[i] = 64;
      config.rows[i] = 16;
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

// Rows are `stride` floats apart.
template <int To>
static inline void load(const float* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride * 4), "i"(To) : "memory");
}
template <int From>
static inline void store(float* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride * 4), "i"(From) : "memory");
}

// Sums[i][j] += sum over r of A[i][2r] B[r][2j] + A[i][2r+1] B[r][2j+1]
template <int Sums, int A, int B>
static inline void multiply_add() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
}

}  // namespace l4j::tiles

#endif

// What every native library of the suite starts from: element types, the instruction sets kernels are
// compiled for, and the CPUID test that picks one.
//
// A kernel file (say gemm_kernels.h) is compiled once for each instruction set by foreach_isa.h, into the
// namespaces avx2 and avx512. The file that includes it fills one table of function pointers per library.
#pragma once

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef L4J_EMULATED
#include "emulated_avx512.h"
#endif

namespace l4j {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

// Codes shared with Java: the enums Isa and DType (order of declaration).
enum Isa { kNone = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Vnni = 3, kAmx = 4 };
enum DType { kF64 = 0, kF32 = 1, kF16 = 2, kBF16 = 3 };

#ifdef L4J_EMULATED
// What the test asks for, 2 to 4.
inline Isa best_isa() { return static_cast<Isa>(std::atoi(std::getenv("LIGHTNING4J_EMULATED_ISA"))); }
#else
// Linux lets a process use the tile registers only after it has asked once, for all its threads
// (Documentation/arch/x86/xstate.rst).
inline bool tiles_allowed() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

inline Isa best_isa() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c")) {
    return kNone;
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")) {
    return kAvx2;
  }
  if (!__builtin_cpu_supports("avx512vnni")) return kAvx512;
  if (__builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("amx-int8") &&
      tiles_allowed()) {
    return kAmx;
  }
  return kAvx512Vnni;
}
#endif

// The table for the instruction set wanted (0: the best), of tables in the order of Isa; the last one also serves
// the sets beyond it.
template <class Table, int N>
inline const Table* table_for(const Table (&tables)[N], int wanted, int best) {
  return &tables[std::min({wanted == 0 ? best : wanted, best, N - 1})];
}

}  // namespace l4j

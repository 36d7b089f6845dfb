// What every native library of the suite starts from: element types, the instruction sets kernels are
// compiled for, and the CPUID test that picks one.
//
// A kernel file (say gemm_kernels.h) is compiled once for each instruction set by foreach_isa.h, into the
// namespaces avx2 and avx512. The file that includes it fills one table of function pointers per library.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace l4j {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

// Codes shared with Java: the enums Isa and DType (order of declaration).
enum Isa { kNone = 0, kAvx2 = 1, kAvx512 = 2 };
enum DType { kF64 = 0, kF32 = 1, kF16 = 2, kBF16 = 3 };

inline Isa best_isa() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("f16c")) {
    return kNone;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return kAvx512;
  }
  return kAvx2;
}

}  // namespace l4j

// Compiles the file named by L4J_KERNELS once for each instruction set, after simd.h, each time inside
// namespace l4j::<isa>. No include guard: a library with two kernel files includes this twice.
// With L4J_EMULATED, for tests on machines without AVX-512, the 16-wide kernels are compiled to AVX2.
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,bmi2")
#define L4J_WIDTH 8
namespace l4j::avx2 {
#include "simd.h"
#include L4J_KERNELS
}  // namespace l4j::avx2
#undef L4J_WIDTH
#pragma GCC pop_options

#pragma GCC push_options
#ifdef L4J_EMULATED
#pragma GCC target("avx2,fma,f16c,bmi2")
#define L4J_HALVES
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2,prefer-vector-width=512")
#endif
#define L4J_WIDTH 16
namespace l4j::avx512 {
#include "simd.h"
#include L4J_KERNELS
}  // namespace l4j::avx512
#undef L4J_WIDTH
#undef L4J_HALVES
#pragma GCC pop_options

#undef L4J_KERNELS

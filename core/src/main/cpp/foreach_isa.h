// Compiles the file named by L4J_KERNELS once for each instruction set, after simd.h, each time inside
// namespace l4j::<isa>. No include guard: a library with two kernel files includes this twice.
//
// The few files whose products have better instructions than those of AVX-512 ask for more: with L4J_FOR_VNNI the file
// is compiled again into l4j::avx512vnni, with L4J_VNNI defined, and with L4J_FOR_AMX into l4j::amx, with L4J_TILES
// (tiles.h is to be included before). There it sees all names of avx512, and hides those that it declares itself.
//
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

#ifdef L4J_FOR_VNNI
#pragma GCC push_options
#ifdef L4J_EMULATED
#pragma GCC target("avx2,fma,f16c,bmi2")
#define L4J_HALVES
#else
#pragma GCC target("avx512vnni,avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2,prefer-vector-width=512")
#endif
#define L4J_WIDTH 16
#define L4J_VNNI
namespace l4j::avx512vnni {
using namespace avx512;
#include L4J_KERNELS
}  // namespace l4j::avx512vnni
#undef L4J_VNNI
#undef L4J_WIDTH
#undef L4J_HALVES
#pragma GCC pop_options
#undef L4J_FOR_VNNI
#endif

#ifdef L4J_FOR_AMX
#pragma GCC push_options
#ifdef L4J_EMULATED
#pragma GCC target("avx2,fma,f16c,bmi2")
#define L4J_HALVES
#else
#pragma GCC target("avx512vnni,avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2,prefer-vector-width=512")
#endif
#define L4J_WIDTH 16
#define L4J_TILES
namespace l4j::amx {
using namespace avx512;
#include L4J_KERNELS
}  // namespace l4j::amx
#undef L4J_TILES
#undef L4J_WIDTH
#undef L4J_HALVES
#pragma GCC pop_options
#undef L4J_FOR_AMX
#endif

#undef L4J_KERNELS

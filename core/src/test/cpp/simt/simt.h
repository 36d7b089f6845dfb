// CUDA C++ for g++: what a kernel's text may use, with the meaning it has on a GPU. Included before that text.
// What is missing here no kernel uses yet; add it with its meaning, and let it fail where a GPU leaves it undefined.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "runtime.h"

/// Tells kernels that inline PTX has another meaning here.
#define L4J_SIMT
#define L4J_DYNAMIC_SHARED(name) unsigned char* const name = simt_block->dynamic_shared

#define __global__ __attribute__((used, visibility("default")))
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// One block at a time runs on a host thread, so its thread-local storage is the shared memory of the block.
#define __shared__ static thread_local

#define threadIdx (simt_self->index)
#define blockIdx (simt_block->index)
#define blockDim (simt_block->size)
#define gridDim (simt_block->grid)
constexpr int warpSize = 32;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

template <class To, class From>
inline To simt_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "as many bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
inline unsigned __float_as_uint(float x) { return simt_bits<unsigned>(x); }
inline int __float_as_int(float x) { return simt_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return simt_bits<float>(x); }
inline float __int_as_float(int x) { return simt_bits<float>(x); }
inline int __float2int_rn(float x) { return static_cast<int>(nearbyintf(x)); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
/// Byte i of the result is byte (selector >> 4 i & 7) of y:x; the sign bits of selectors are not there.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  uint64_t both = uint64_t(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) result |= unsigned(both >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return result;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
#define SIMT_EXTREMES(type)                                  \
  inline type min(type a, type b) { return b < a ? b : a; } \
  inline type max(type a, type b) { return a < b ? b : a; }
SIMT_EXTREMES(int)
SIMT_EXTREMES(unsigned)
SIMT_EXTREMES(long)
SIMT_EXTREMES(long long)
SIMT_EXTREMES(unsigned long)
SIMT_EXTREMES(unsigned long long)
template <class T>
inline T __ldg(const T* address) {
  return *address;
}

inline void __syncthreads() { simt_barrier(); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
[[noreturn]] inline void __trap() { simt_fail("__trap"); }

// Atomics: blocks run on several host threads at once.
template <class T>
inline T atomicAdd(T* at, T value) {
  if constexpr (std::is_integral_v<T>) {
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
  } else {
    T old, now;
    __atomic_load(at, &old, __ATOMIC_RELAXED);
    do now = old + value;
    while (!__atomic_compare_exchange(at, &old, &now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
  }
}
template <class T>
inline T atomicMax(T* at, T value) {
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (old < value && !__atomic_compare_exchange_n(at, &old, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}
template <class T>
inline T atomicCAS(T* at, T expected, T value) {
  __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T>
inline T atomicExch(T* at, T value) {
  return __atomic_exchange_n(at, value, __ATOMIC_RELAXED);
}

#include "warp.h"

// What the scheduler needs to call a kernel; one of these is appended for each kernel of the text.
namespace simt {
template <class Tuple>
struct Signature;
template <class... A>
struct Signature<void (*)(A...)> {
  static constexpr unsigned kSizes[] = {sizeof(A)..., 0};
  static constexpr bool kPointers[] = {std::is_pointer_v<A>..., false};
  template <void (*kernel)(A...), size_t... I>
  static void call(void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<A>*>(arguments[I])...);
  }
  template <void (*kernel)(A...)>
  static void call(void** arguments) {
    call<kernel>(arguments, std::index_sequence_for<A...>{});
  }
  static constexpr unsigned kCount = sizeof...(A);
};
}  // namespace simt

static thread_local char simt_touched;
extern "C" __attribute__((visibility("default"))) void simt_touch_shared() {
  *const_cast<volatile char*>(&simt_touched) = 0;
}
#define SIMT_KERNEL(name, bounds)                                                                      \
  extern "C" __attribute__((visibility("default"))) const simt::Entry simt_entry_##name = {            \
      simt::Signature<decltype(&name)>::kCount, simt::Signature<decltype(&name)>::kSizes,              \
      simt::Signature<decltype(&name)>::kPointers, &simt::Signature<decltype(&name)>::call<&name>, bounds};

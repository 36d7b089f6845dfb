// What all kernels share: 16-bit floats, vectors of 16 bytes, sums over warps and blocks, tensor cores, copies in the
// background. Nothing of a CUDA toolkit is included. With L4J_SIMT the text is built by g++ for tests (see simt.h of
// core's tests), where the pieces of inline PTX have a plain meaning.
#pragma once

// NVRTC has no <cstdint>.
#ifdef __CUDACC_RTC__
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef int int32_t;
typedef long long int64_t;
#endif
#ifndef L4J_SIMT
#define L4J_DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#endif

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;

// ---- Elements ------------------------------------------------------------------------------------------------------

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

/// The types that -D names: 0 float, 1 bf16, 2 f16.
template <int code>
struct ElementOf;
template <>
struct ElementOf<0> {
  typedef float type;
};
template <>
struct ElementOf<1> {
  typedef bf16 type;
};
template <>
struct ElementOf<2> {
  typedef f16 type;
};

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(bf16 x) { return __uint_as_float(uint32_t(x.bits) << 16); }
__device__ __forceinline__ float widen(f16 x) {
#ifdef L4J_SIMT
  return simt::from_f16(x.bits);
#else
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
  return wide;
#endif
}

/// Rounds to nearest, ties to even.
template <class T>
__device__ __forceinline__ T narrow(float x);
template <>
__device__ __forceinline__ float narrow<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 narrow<bf16>(float x) {
#ifdef L4J_SIMT
  return {simt::to_bf16(x)};
#else
  bf16 y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
#endif
}
template <>
__device__ __forceinline__ f16 narrow<f16>(float x) {
#ifdef L4J_SIMT
  return {simt::to_f16(x)};
#else
  f16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
#endif
}

/// Two bf16 in one register, `low` first in memory.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef L4J_SIMT
  return simt::to_bf16(low) | uint32_t(simt::to_bf16(high)) << 16;
#else
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#endif
}

/// n elements that are read and written at once; n * sizeof(T) is 16 where addresses allow, or n is 1.
template <class T, int n>
struct alignas(n * sizeof(T)) Vector {
  T at[n];
};

template <class T, int n>
__device__ __forceinline__ void load(const T* from, float (&to)[n]) {
  Vector<T, n> all = *reinterpret_cast<const Vector<T, n>*>(from);
#pragma unroll
  for (int i = 0; i < n; i++) to[i] = widen(all.at[i]);
}

template <class T, int n>
__device__ __forceinline__ void store(T* to, const float (&from)[n]) {
  Vector<T, n> all;
#pragma unroll
  for (int i = 0; i < n; i++) all.at[i] = narrow<T>(from[i]);
  *reinterpret_cast<Vector<T, n>*>(to) = all;
}

/// Reads words that are not needed again: they do not take the place of others in the multiprocessor's cache.
template <int n>
__device__ __forceinline__ void load_once(uint32_t (&to)[n], const void* from) {
  static_assert(n == 1 || n == 2 || n == 4, "4, 8 or 16 bytes");
#ifdef L4J_SIMT
  Vector<uint32_t, n> all = *static_cast<const Vector<uint32_t, n>*>(from);
  for (int i = 0; i < n; i++) to[i] = all.at[i];
#else
  if constexpr (n == 4) {
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
        : "l"(from));
  } else if constexpr (n == 2) {
    asm("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];" : "=r"(to[0]), "=r"(to[1]) : "l"(from));
  } else {
    asm("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(to[0]) : "l"(from));
  }
#endif
}

/// a b + c for the two bf16 of each register.
__device__ __forceinline__ uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
#ifdef L4J_SIMT
  return simt::fma_bf16x2(a, b, c);
#else
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#endif
}

/// x / (1 + e^-x); 0 and not NaN where e^-x overflows.
__device__ __forceinline__ float silu(float x) { return x / (1.0f + __expf(-x)); }

// ---- Sums ----------------------------------------------------------------------------------------------------------

/// The sum over a warp, for every lane; the same tree always.
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) x += __shfl_xor_sync(kAllLanes, x, flip);
  return x;
}

/// The sum over a block of whole warps, for every thread. `parts` has kWarp floats of shared memory, which nobody may
/// touch from before the call to after the next barrier.
__device__ __forceinline__ float block_sum(float x, float* parts) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  x = warp_sum(x);
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  return warp_sum(lane < int(blockDim.x) / kWarp ? parts[lane] : 0.0f);
}

// ---- Tensor cores --------------------------------------------------------------------------------------------------
// All lanes of the warp take part. Fragments as the PTX manual lays them out: of a 16 x 16 matrix A lane l holds rows
// l / 4 and l / 4 + 8; of B (16 x 8) column l / 4; of D (16 x 8) what A has of rows and l % 4 * 2 of columns.

/// d += a b for bf16, fp32 sums.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
#ifdef L4J_SIMT
  simt::mma_m16n8k16<simt::from_bf16>(d, a, b);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

#ifndef L4J_SIMT
__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
#endif

/// Four 8 x 8 matrices of 16-bit elements: lane l tells where row l % 8 of matrix l / 8 starts in shared memory.
__device__ __forceinline__ void load_matrices(uint32_t (&m)[4], const void* row) {
#ifdef L4J_SIMT
  simt::load_matrix<4, false>(m, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

/// The same, each matrix transposed.
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&m)[4], const void* row) {
#ifdef L4J_SIMT
  simt::load_matrix<4, true>(m, row);
#else
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
               : "r"(shared_address(row))
               : "memory");
#endif
}

// ---- Copies in the background ----------------------------------------------------------------------------------------

/// Starts to copy 16 bytes to shared memory; zeros instead where `present` is false, and nothing is read then.
__device__ __forceinline__ void copy_async(void* shared, const void* global, bool present) {
#ifdef L4J_SIMT
  simt::copy_async(shared, global, 16, present ? 16 : 0);
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(shared_address(shared)), "l"(global), "r"(present ? 16 : 0)
               : "memory");
#endif
}

/// Ends a group of the copies that this thread has started.
__device__ __forceinline__ void commit_copies() {
#ifdef L4J_SIMT
  simt_self->groups++;
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most `left` of this thread's groups are under way. Others see the bytes after a barrier.
template <int left>
__device__ __forceinline__ void wait_copies() {
#ifdef L4J_SIMT
  simt::wait_async(left);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
#endif
}

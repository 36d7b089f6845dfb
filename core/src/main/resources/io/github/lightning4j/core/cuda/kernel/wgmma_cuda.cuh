// Products of warp groups: wgmma of Hopper (sm_90a and no other). Four warps, the first of which is a multiple of four,
// multiply 64 x 16 by 16 x N, in the background, with sums in their registers and operands in shared memory.
//
// Tiles have rows of 64 bf16, 128 bytes, and start at a multiple of 1024 bytes. 16 bytes of a row lie at their place
// exclusive-or the row modulo 8, which is the hardware's swizzle of 128 bytes and what `place` of tile_cuda.cuh says;
// so the 16 columns from `depth` start at depth * 2 bytes behind the tile. Of D, which is 64 x N, thread t of the group
// holds in d[j * 4 + e] row t / 32 * 16 + t % 32 / 4 + e / 2 * 8 and column j * 8 + t % 4 * 2 + e % 2.
//
// The order is: what is written to shared memory, or has been waited for, then fence_tiles, then a barrier; then
// fence_products, multiply_tiles for all of a step, commit_products; the sums can be used, and the tiles written again,
// behind wait_products of all four warps, and the sums behind settle.
#pragma once
#include "core_cuda.cuh"

constexpr int kGroup = 128;

/// Eight rows of a tile.
constexpr uint32_t kEightRows = 1024;

/// What tells the hardware of a K-major tile: where it starts, that eight rows are 1024 bytes, and the swizzle.
__device__ __forceinline__ uint64_t describe(const bf16* tile) {
#ifdef L4J_SIMT
  uint32_t start = simt::shared_address(tile);
#else
  uint32_t start = shared_address(tile);
#endif
  return uint64_t(start >> 4 & 0x3fff) | uint64_t(1) << 16 | uint64_t(kEightRows >> 4) << 32 | uint64_t(1) << 62;
}

/// Makes what this thread has written to shared memory, itself or by copies it has waited for, ready for products that
/// others start behind a barrier.
__device__ __forceinline__ void fence_tiles() {
#ifdef L4J_SIMT
  simt_fence_async();
#else
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/// Before the first product of sums that the threads have touched.
__device__ __forceinline__ void fence_products() {
#ifdef L4J_SIMT
  simt_wgmma_fence();
#else
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

/// Ends a group of the products that this warp group has started.
__device__ __forceinline__ void commit_products() {
#ifdef L4J_SIMT
  simt_wgmma_commit();
#else
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

/// Waits until at most `left` groups of products are under way.
template <int left>
__device__ __forceinline__ void wait_products() {
#ifdef L4J_SIMT
  simt_wgmma_wait(left);
#else
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
#endif
}

/// Keeps the compiler from using sums before the wait above this.
template <int n>
__device__ __forceinline__ void settle(float (&d)[n]) {
#ifndef L4J_SIMT
#pragma unroll
  for (int i = 0; i < n; i++) asm volatile("" : "+f"(d[i])::"memory");
#endif
}

/// Keeps the compiler from making registers of A between products, which would have to wait for one another.
template <int n>
__device__ __forceinline__ void settle(uint32_t (&a)[n]) {
#ifndef L4J_SIMT
#pragma unroll
  for (int i = 0; i < n; i++) asm volatile("" : "+r"(a[i])::"memory");
#endif
}

#define L4J_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define L4J_D16(i) L4J_D4(i), L4J_D4(i + 4), L4J_D4(i + 8), L4J_D4(i + 12)
#define L4J_D64(i) L4J_D16(i), L4J_D16(i + 16), L4J_D16(i + 32), L4J_D16(i + 48)

/// Starts d += a b^T over 16 columns: a has 64 rows, b 128, of which `describe` tells.
__device__ __forceinline__ void multiply_tiles(float (&d)[64], uint64_t a, uint64_t b) {
#ifdef L4J_SIMT
  simt::wgmma(d, nullptr, a, b);
#else
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "
      "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, "
      "%45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, 1, 1, 1, 0, 0;"
      : L4J_D64(0)
      : "l"(a), "l"(b));
#endif
}

/// The same; b has 256 rows.
__device__ __forceinline__ void multiply_tiles(float (&d)[128], uint64_t a, uint64_t b) {
#ifdef L4J_SIMT
  simt::wgmma(d, nullptr, a, b);
#else
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "
      "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, "
      "%45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, %65, %66, "
      "%67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, "
      "%89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, "
      "%109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, "
      "%127}, "
      "%128, %129, 1, 1, 1, 0, 0;"
      : L4J_D64(0), L4J_D64(64)
      : "l"(a), "l"(b));
#endif
}

/// The same with b of 128 rows; thread t of the group has of a what mma_bf16 takes: rows t / 32 * 16 + t % 32 / 4 and 8
/// below. The registers stay as they are until the product is waited for.
__device__ __forceinline__ void multiply_registers(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {
#ifdef L4J_SIMT
  simt::wgmma(d, a, 0, b);
#else
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "
      "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, "
      "%45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "{%64, %65, %66, %67}, %68, 1, 1, 1, 0;"
      : L4J_D64(0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
#endif
}

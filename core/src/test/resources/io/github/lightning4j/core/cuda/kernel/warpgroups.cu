// Products of one warp group, right and wrong, for the tests of wgmma_cuda.cuh and of what stands for it on the CPU.
#include "wgmma_cuda.cuh"

constexpr int kA = 64 * 128;

/// The sums of each thread as they lie in its registers: half of `columns` for each of 128 threads. `image` is what
/// shared memory is to hold, 64 rows of A and then those of B; `registers` of A, four for each thread and 16 columns,
/// are taken in the place of its rows if `held` says so.
template <int columns, bool held>
__device__ __forceinline__ void raw_product(const uint4* image, const uint32_t* registers, float* out) {
  L4J_DYNAMIC_SHARED(memory);
  uint4* to = reinterpret_cast<uint4*>(memory);
  for (int i = threadIdx.x; i < (kA + columns * 128) / 16; i += kGroup) to[i] = image[i];
  fence_tiles();
  __syncthreads();
  const bf16* tiles = reinterpret_cast<const bf16*>(memory);
  float d[columns / 2] = {};
  uint32_t a[4][4];
#pragma unroll
  for (int i = 0; i < 16; i++) a[i / 4][i % 4] = held ? registers[threadIdx.x * 16 + i] : 0;
  fence_products();
#pragma unroll
  for (int step = 0; step < 4; step++) {
    uint64_t b = describe(tiles + kA / 2 + step * 16);
    if constexpr (held) {
      multiply_registers(d, a[step], b);
    } else {
      multiply_tiles(d, describe(tiles + step * 16), b);
    }
  }
  commit_products();
  wait_products<0>();
  settle(d);
#pragma unroll
  for (int i = 0; i < columns / 2; i++) out[threadIdx.x * (columns / 2) + i] = d[i];
}

extern "C" __global__ void __launch_bounds__(kGroup)
    tiles_128(const uint4* image, const uint32_t* registers, float* out) {
  raw_product<128, false>(image, registers, out);
}

extern "C" __global__ void __launch_bounds__(kGroup)
    tiles_256(const uint4* image, const uint32_t* registers, float* out) {
  raw_product<256, false>(image, registers, out);
}

extern "C" __global__ void __launch_bounds__(kGroup)
    registers_128(const uint4* image, const uint32_t* registers, float* out) {
  raw_product<128, true>(image, registers, out);
}

/// Goes wrong in the way that `how` says, but for 0.
extern "C" __global__ void __launch_bounds__(kGroup) wrong_product(int* out, int how) {
  L4J_DYNAMIC_SHARED(memory);
  bf16* tiles = reinterpret_cast<bf16*>(memory);
  for (int i = threadIdx.x; i < 192 * 64; i += blockDim.x) tiles[i] = {0};
  if (how != 1) fence_tiles();
  if (how != 2) __syncthreads();
  float d[64] = {};
  uint32_t a[4] = {};
  if (how != 3) fence_products();
  uint64_t left = describe(tiles + (how == 5 ? 128 : 0));
  if (how != 6 && (how != 4 || threadIdx.x < 96)) multiply_tiles(d, left, describe(tiles + kA / 2));
  if (how == 6) multiply_registers(d, a, describe(tiles + kA / 2));
  commit_products();
  if (how == 6) a[1] = 1;
  if (how == 7) d[5] = 1;
  if (how == 8) tiles[64 * 64 + 17 + threadIdx.x].bits = 1;
  if (how == 9) copy_async(tiles + 64 * 64 + threadIdx.x * 8, out, true);
  if (how == 10) return;
  wait_products<0>();
  settle(d);
  if (how == 11) {
    fence_products();
    multiply_tiles(d, left, describe(tiles + kA / 2));
    commit_products();
    wait_products<1>();
  }
  if (threadIdx.x < 64) out[threadIdx.x] = __float_as_int(d[0] + a[1]);
  wait_products<0>();
}

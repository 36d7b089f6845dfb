// The largest logit of each row: greedy sampling without the logits leaving the GPU.
//
// A row of 200,064 logits is read by many blocks, each of which leaves its best in scratch memory; a second launch, a
// warp a row, joins them. A key of 64 bits orders by value and, among equals, by the smaller index, so the result does
// not depend on who comes first. NaN is above everything, and the row's result is then -1.
// Constants: X the code of the element type; VECTOR.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Logit;

__device__ __forceinline__ uint64_t key(float x, int index) {
  uint32_t bits = __float_as_uint(x);
  uint32_t order = x != x ? 0xffffffffu : bits >> 31 ? ~bits : bits | 0x80000000u;
  // -0 and 0 are equal.
  if (x == 0) order = 0x80000000u;
  return uint64_t(order) << 32 | ~uint32_t(index);
}

__device__ __forceinline__ uint64_t larger(uint64_t a, uint64_t b) { return a < b ? b : a; }

__device__ __forceinline__ uint64_t warp_largest(uint64_t x) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) x = larger(x, __shfl_xor_sync(kAllLanes, x, flip));
  return x;
}

extern "C" __global__ void __launch_bounds__(256)
    argmax_parts(const Logit* logits, int64_t ld, int n, uint64_t* parts) {
  __shared__ uint64_t best_of_warp[kWarp];
  const Logit* row = logits + blockIdx.y * ld;
  uint64_t best = 0;
  for (int i = (blockIdx.x * blockDim.x + threadIdx.x) * VECTOR; i < n; i += gridDim.x * blockDim.x * VECTOR) {
    float x[VECTOR];
    load(row + i, x);
#pragma unroll
    for (int j = 0; j < VECTOR; j++) best = larger(best, key(x[j], i + j));
  }
  best = warp_largest(best);
  int lane = threadIdx.x % kWarp;
  if (lane == 0) best_of_warp[threadIdx.x / kWarp] = best;
  __syncthreads();
  if (threadIdx.x < kWarp) {
    best = warp_largest(lane < int(blockDim.x) / kWarp ? best_of_warp[lane] : 0);
    if (lane == 0) parts[int64_t(blockIdx.y) * gridDim.x + blockIdx.x] = best;
  }
}

extern "C" __global__ void __launch_bounds__(32) argmax_join(const uint64_t* parts, int count, int* out) {
  uint64_t best = 0;
  for (int i = threadIdx.x; i < count; i += kWarp) best = larger(best, parts[int64_t(blockIdx.x) * count + i]);
  best = warp_largest(best);
  if (threadIdx.x == 0) out[blockIdx.x] = best >> 32 == 0xffffffffu ? -1 : int(~uint32_t(best));
}

// The k greatest magnitudes of each row, descending: what the search for massive activations needs of a row.
//
// A block has a row. In each of k rounds its threads look for the greatest key below the last one; a key of 64 bits is
// the magnitude and, among equals, the lower channel, so every channel has its own and no order of threads shows.
// Infinity is above all numbers and NaN above that; both come out as they are.
// Constants: X the code of the element type.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Element;

constexpr int kThreads = 256;

__device__ __forceinline__ uint64_t key(float x, int channel) {
  return uint64_t(__float_as_uint(x) & 0x7fffffffu) << 32 | ~uint32_t(channel);
}

__device__ __forceinline__ uint64_t warp_largest(uint64_t x) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) {
    uint64_t other = __shfl_xor_sync(kAllLanes, x, flip);
    x = x < other ? other : x;
  }
  return x;
}

/// Block t writes out[t, 0..k) of x[t, 0..width), k <= width.
extern "C" __global__ void __launch_bounds__(kThreads)
    row_greatest(const Element* x, int64_t ld, int width, int k, float* out) {
  __shared__ uint64_t best_of_warp[kThreads / kWarp];
  const Element* row = x + blockIdx.x * ld;
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  uint64_t last = ~uint64_t(0);
  for (int round = 0; round < k; round++) {
    uint64_t best = 0;
    for (int i = threadIdx.x; i < width; i += kThreads) {
      uint64_t own = key(widen(row[i]), i);
      if (own < last && own > best) best = own;
    }
    best = warp_largest(best);
    if (lane == 0) best_of_warp[warp] = best;
    __syncthreads();
    last = warp_largest(best_of_warp[lane % (kThreads / kWarp)]);
    if (threadIdx.x == 0) out[int64_t(blockIdx.x) * k + round] = __uint_as_float(uint32_t(last >> 32));
    // The next round writes where this one was read.
    __syncthreads();
  }
}

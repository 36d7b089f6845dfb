// The Walsh-Hadamard transform of a row that a warp holds: lane l has the channels l V to l V + V - 1 of 32 V.
// Strides ascend, 1, 2, 4, ..., then one multiplication by the root of 1 / n: to the bit what HadamardMatrix.java does.
#pragma once
#include "core_cuda.cuh"

template <int V>
__device__ __forceinline__ void hadamard(float (&x)[V]) {
#pragma unroll
  for (int step = 1; step < V; step *= 2) {
#pragma unroll
    for (int i = 0; i < V; i++) {
      if ((i & step) == 0) {
        float a = x[i], b = x[i + step];
        x[i] = a + b;
        x[i + step] = a - b;
      }
    }
  }
  int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int flip = 1; flip < kWarp; flip *= 2) {
#pragma unroll
    for (int i = 0; i < V; i++) {
      float other = __shfl_xor_sync(kAllLanes, x[i], flip);
      x[i] = lane & flip ? other - x[i] : x[i] + other;
    }
  }
  // float(1 / sqrt(double(32 V)))
  constexpr float kScale = V == 1   ? 0.17677669529663687f
                           : V == 2 ? 0.125f
                           : V == 4 ? 0.08838834764831843f
                           : V == 8 ? 0.0625f
                                    : 0.04419417382415922f;
#pragma unroll
  for (int i = 0; i < V; i++) x[i] *= kScale;
}

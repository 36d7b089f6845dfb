// The Walsh-Hadamard transform of blocks of D neighbouring channels; a warp a block, which stays in registers. Bound by
// memory: one read and one write.
// Constants: X the code of the type; D, 32, 64, 128 or 256; VECTOR, D / 32 where addresses allow, or 1.
#include "hadamard.cuh"

typedef ElementOf<X>::type Element;

constexpr int kLane = D / kWarp;

/// x and out [rows, blocks D]; they may be the same.
extern "C" __global__ void __launch_bounds__(256)
    hadamard_rows(const Element* x, int64_t x_row, Element* out, int64_t o_row, int64_t rows, int blocks) {
  int64_t unit = int64_t(blockIdx.x) * (blockDim.x / kWarp) + threadIdx.x / kWarp;
  if (unit >= rows * blocks) return;
  int64_t row = unit / blocks, channel = unit % blocks * D + threadIdx.x % kWarp * kLane;
  float own[kLane];
#pragma unroll
  for (int i = 0; i < kLane; i += VECTOR) {
    float some[VECTOR];
    load(x + row * x_row + channel + i, some);
#pragma unroll
    for (int j = 0; j < VECTOR; j++) own[i + j] = some[j];
  }
  hadamard(own);
#pragma unroll
  for (int i = 0; i < kLane; i += VECTOR) {
    float some[VECTOR];
#pragma unroll
    for (int j = 0; j < VECTOR; j++) some[j] = own[i + j];
    store(out + row * o_row + channel + i, some);
  }
}

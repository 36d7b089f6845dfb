// Kernels that go wrong, or look as if they did, for the tests of the driver that runs kernels on the CPU.
#include "core_cuda.cuh"

extern "C" __global__ void __launch_bounds__(64) forgotten_barrier(int* out) {
  __shared__ int shared[64];
  shared[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = shared[63 - threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(32) forgotten_warp_barrier(int* out) {
  __shared__ int shared[32];
  shared[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = shared[(threadIdx.x + 1) % 32];
}

extern "C" __global__ void __launch_bounds__(64) divergent_barrier(int* out) {
  if (threadIdx.x < 60) __syncthreads();
  out[threadIdx.x] = 0;
}

extern "C" __global__ void __launch_bounds__(32) divergent_shuffle(int* out) {
  if (threadIdx.x < 31) out[threadIdx.x] = __shfl_sync(kAllLanes, 7, 0);
}

extern "C" __global__ void __launch_bounds__(32) shuffle_from_outside(int* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_sync(0xffffu, 7, 16);
}

extern "C" __global__ void __launch_bounds__(32) outside_shared(int* out, int index) {
  __shared__ int shared[32];
  shared[index] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(32) beside_dynamic_shared(int* out, int index) {
  L4J_DYNAMIC_SHARED(shared);
  shared[index] = 1;
  out[threadIdx.x] = 0;
}

extern "C" __global__ void __launch_bounds__(32) misaligned(float* out) {
  float values[4] = {};
  store(out + 1, values);
}

extern "C" __global__ void __launch_bounds__(32) beside_memory(int* out, int index) {
  if (threadIdx.x == 0) out[index] = 1;
}

extern "C" __global__ void __launch_bounds__(32) unwaited_copy(const int* in, int* out) {
  __shared__ __align__(16) int shared[128];
  copy_async(shared + threadIdx.x * 4, in + threadIdx.x * 4, true);
  commit_copies();
  wait_copies<1>();
  __syncthreads();
  out[threadIdx.x] = shared[threadIdx.x];
}

/// What is right, one of each: the results are known.
extern "C" __global__ void __launch_bounds__(64) collectives(const int* in, int* out) {
  __shared__ __align__(16) int shared[256];
  int i = threadIdx.x, lane = i % 32;
  copy_async(shared + i * 4, in + i * 4, i < 48);
  commit_copies();
  wait_copies<0>();
  __syncthreads();
  out[i] = shared[255 - i * 4] + shared[i];
  out[64 + i] = __shfl_up_sync(kAllLanes, i, 3);
  out[128 + i] = __shfl_down_sync(kAllLanes, i, 5, 8);
  out[192 + i] = __shfl_xor_sync(kAllLanes, i, 12, 16);
  out[256 + i] = __shfl_sync(kAllLanes, i, 9, 8);
  out[320 + i] = int(__ballot_sync(kAllLanes, i % 3 == 0));
  if (lane < 8) out[384 + i] = __shfl_xor_sync(0xffu, i, 1);
  if (lane >= 8) out[384 + i] = __any_sync(0xffffff00u, i == 40) * 2 + __all_sync(0xffffff00u, i < 40);
  atomicAdd(out + 448, i);
  atomicMax(out + 449, i * 5 % 64);
  __syncthreads();
  if (i == 0) out[450] = atomicExch(out + 448, -1);
}

/// A 16 x 16 product of bf16 by fragments from ldmatrix: out = a b for row-major a and b.
extern "C" __global__ void __launch_bounds__(32) tile_product(const bf16* a, const bf16* b, float* out) {
  __shared__ __align__(16) bf16 left[16][24];
  __shared__ __align__(16) bf16 right[16][24];
  int lane = threadIdx.x;
  for (int i = lane; i < 256; i += 32) {
    left[i / 16][i % 16] = a[i];
    right[i / 16][i % 16] = b[i];
  }
  __syncwarp();
  uint32_t x[4], y[4];
  load_matrices(x, &left[lane % 16][lane / 16 * 8]);
  load_matrices_transposed(y, &right[lane % 16][lane / 16 * 8]);
  for (int half = 0; half < 2; half++) {
    float d[4] = {};
    mma_bf16(d, x, {y[half * 2], y[half * 2 + 1]});
    for (int i = 0; i < 4; i++) out[(lane / 4 + i / 2 * 8) * 16 + half * 8 + lane % 4 * 2 + i % 2] = d[i];
  }
}

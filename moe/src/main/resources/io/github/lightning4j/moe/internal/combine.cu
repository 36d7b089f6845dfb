// What the experts answered, back to the tokens, and weights on their way to the GPU.
//
//   out[t] = alpha residual[t] + beta sum_j weight[t, j] answers[positions[t, j]]     j = 0, 1, ... in this order
//
// over the pairs whose experts are here; nothing is read for the others.
// Bound by memory: k rows of answers a token, 16 bytes of results or more a thread. fp32, rounded once.
// Constant: O, the code of the type of residual and out.
#include "core_cuda.cuh"

typedef ElementOf<O>::type Output;

constexpr int kThreads = 256;
constexpr int kWide = 8;

/// Writes the results of a thread; the residual may be out itself, or null.
__device__ __forceinline__ void finish(const float (&sum)[kWide], const Output* residual, int64_t from, float alpha,
                                       float beta, Output* out, int64_t to) {
  constexpr int kVector = 16 / sizeof(Output);
#pragma unroll
  for (int part = 0; part < kWide; part += kVector) {
    float x[kVector];
    if (residual != nullptr) load(residual + from + part, x);
#pragma unroll
    for (int c = 0; c < kVector; c++) {
      x[c] = residual != nullptr ? alpha * x[c] + beta * sum[part + c] : beta * sum[part + c];
    }
    store(out + to + part, x);
  }
}

/// Block (t, y); h a multiple of 8; weight may be null, for ones. Experts here have the slots [offsets[0], offsets[experts]).
extern "C" __global__ void __launch_bounds__(kThreads)
    combine(const float* answers, const int* positions, const float* weight, const int* offsets, int experts, int k,
            int h, const Output* residual, int64_t ldr, float alpha, float beta, Output* out, int64_t ldo) {
  int64_t t = blockIdx.x;
  int i = (blockIdx.y * kThreads + threadIdx.x) * kWide;
  if (i >= h) return;
  int first = offsets[0], last = offsets[experts];
  float sum[kWide] = {};
  for (int j = 0; j < k; j++) {
    int position = positions[t * k + j];
    if (position < first || position >= last) continue;
    float share = weight != nullptr ? weight[t * k + j] : 1.0f;
    const float* row = answers + int64_t(position) * h + i;
#pragma unroll
    for (int part = 0; part < kWide; part += 4) {
      float x[4];
      load(row + part, x);
#pragma unroll
      for (int c = 0; c < 4; c++) sum[part + c] += share * x[c];
    }
  }
  finish(sum, residual, t * ldr + i, alpha, beta, out, t * ldo + i);
}

/// out[t] = alpha residual[t] + beta mixture[t], [tokens, h] each. Block (t, y); h a multiple of 8.
extern "C" __global__ void __launch_bounds__(kThreads)
    add_residual(const float* mixture, int h, const Output* residual, int64_t ldr, float alpha, float beta, Output* out,
                 int64_t ldo) {
  int64_t t = blockIdx.x;
  int i = (blockIdx.y * kThreads + threadIdx.x) * kWide;
  if (i >= h) return;
  float sum[kWide];
#pragma unroll
  for (int part = 0; part < kWide; part += 4) {
    float x[4];
    load(mixture + t * h + i + part, x);
#pragma unroll
    for (int c = 0; c < 4; c++) sum[part + c] = x[c];
  }
  finish(sum, residual, t * ldr + i, alpha, beta, out, t * ldo + i);
}

// Joins the splits that cache_decode.cu or cache_prefill.cu left of each query, in their order, and divides: a block a
// query head.
// Constants: O the code of the output type; D, 32, 64 or 128.
#include "core_cuda.cuh"

typedef ElementOf<O>::type Output;

/// sums [rows, heads, splits, D], stats [rows, heads, splits, 2]; block (head, row). A row that saw nothing, as those
/// of no sequence, becomes zero; rows outside [offsets[0], offsets[pieces]), where there are offsets, are left alone.
extern "C" __global__ void __launch_bounds__(D)
    cache_merge(const float* sums, const float* stats, int splits, const int* offsets, int pieces, Output* out,
                int64_t o_row, int64_t o_head) {
  if (offsets != nullptr && (int(blockIdx.y) < offsets[0] || int(blockIdx.y) >= offsets[pieces])) return;
  int64_t at = (int64_t(blockIdx.y) * gridDim.x + blockIdx.x) * splits;
  sums += at * D + threadIdx.x;
  stats += at * 2;
  float most = __uint_as_float(0xff800000u);
#pragma unroll 8
  for (int i = 0; i < splits; i++) most = fmaxf(most, stats[2 * i]);
  float total = 0, o = 0;
#pragma unroll 8
  for (int i = 0; i < splits; i++) {
    float sum = stats[2 * i + 1];
    // Of a split that saw nothing no sums were written.
    if (sum == 0) continue;
    float factor = stats[2 * i] == most ? 1.0f : exp2f(stats[2 * i] - most);
    total += sum * factor;
    o += sums[int64_t(i) * D] * factor;
  }
  out[blockIdx.y * o_row + blockIdx.x * o_head + threadIdx.x] = narrow<Output>(total == 0 ? 0.0f : o / total);
}

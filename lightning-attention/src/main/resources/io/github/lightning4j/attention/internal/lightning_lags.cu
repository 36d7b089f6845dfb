// The last step of the gradient of log(lambda): the sum of what blocks have found, in one order always.
#include "core_cuda.cuh"

/// out[h] = the sum of parts [count][heads] over the first dimension.
extern "C" __global__ void lightning_lags(const float* parts, int count, int heads, float* out) {
  int head = blockIdx.x * blockDim.x + threadIdx.x;
  if (head >= heads) return;
  double sum = 0;
  for (int i = 0; i < count; i++) sum += parts[int64_t(i) * heads + head];
  out[head] = float(sum);
}

// The second pass of products whose K was shared out: adds the parts in their order.
// Constants: O the code of the type of out.
#include "core_cuda.cuh"

typedef ElementOf<O>::type Output;

/// out = alpha (sum over `parts` of partial [parts][m][n]) + beta residual; a row of out each y.
extern "C" __global__ void __launch_bounds__(256)
    gemm_join(const float* partial, int parts, int n, Output* out, int64_t ldo, float alpha, const Output* residual,
              int64_t ldr, float beta) {
  int64_t row = blockIdx.x;
  int column = blockIdx.y * blockDim.x + threadIdx.x;
  if (column >= n) return;
  float sum = 0;
  for (int part = 0; part < parts; part++) sum += partial[(part * int64_t(gridDim.x) + row) * n + column];
  sum *= alpha;
  if (residual != nullptr) sum = fmaf(beta, widen(residual[row * ldr + column]), sum);
  out[row * ldo + column] = narrow<Output>(sum);
}

// The norm behind lightning attention with its gate: a row is all heads of a token, and has one norm.
//
//   out[t] = sigmoid(gate[t]) * weight * x[t] / sqrt(mean(x[t]^2) + eps)
//
// A block a row, which stays in registers between the passes; each operand is read once. Arithmetic is fp32, results are
// rounded once.
// Constants: X, G, W, O the codes of the element types of x, gate, weight and out; VECTOR elements at once; ROUNDS, the
// vectors of a row that a thread keeps.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Input;
typedef ElementOf<G>::type Gate;
typedef ElementOf<W>::type Weight;
typedef ElementOf<O>::type Output;

extern "C" __global__ void __launch_bounds__(1024)
    gated_norm(const Input* x, int64_t ldx, const Gate* gate, int64_t ldg, const Weight* weight, Output* out,
               int64_t ldo, int h, float eps) {
  __shared__ float parts[kWarp];
  int64_t t = blockIdx.x;
  float kept[ROUNDS][VECTOR];
  float squares = 0;
#pragma unroll
  for (int round = 0; round < ROUNDS; round++) {
    int i = (round * blockDim.x + threadIdx.x) * VECTOR;
    if (i < h) {
      load(x + t * ldx + i, kept[round]);
#pragma unroll
      for (int j = 0; j < VECTOR; j++) squares += kept[round][j] * kept[round][j];
    }
  }
  float scale = rsqrtf(block_sum(squares, parts) / h + eps);
#pragma unroll
  for (int round = 0; round < ROUNDS; round++) {
    int i = (round * blockDim.x + threadIdx.x) * VECTOR;
    if (i < h) {
      float w[VECTOR], g[VECTOR];
      load(weight + i, w);
      load(gate + t * ldg + i, g);
#pragma unroll
      for (int j = 0; j < VECTOR; j++) w[j] *= kept[round][j] * scale / (1.0f + __expf(-g[j]));
      store(out + t * ldo + i, w);
    }
  }
}

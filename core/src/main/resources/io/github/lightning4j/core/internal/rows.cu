// Operators over rows of activations [T, H], for decode steps and prompts alike.
//
// Each is bound by memory: operands are read and written once, 16 bytes a thread where addresses and widths allow
// (VECTOR elements; 1 where they do not). All arithmetic is fp32, results are rounded once.
// Constants: X, W the codes of the element types of activations and weights; VECTOR; ROUNDS, the vectors of a row that
// a thread keeps in registers.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Activation;
typedef ElementOf<W>::type Weight;

/// out[t] = weight * x[t] / sqrt(mean(x[t]^2) + eps). A block a row; the row stays in registers between the passes.
extern "C" __global__ void __launch_bounds__(1024)
    rms_norm(const Activation* x, int64_t ldx, const Weight* weight, Activation* out, int64_t ldo, int h, float eps) {
  __shared__ float parts[kWarp];
  const Activation* row = x + blockIdx.x * ldx;
  float kept[ROUNDS][VECTOR];
  float squares = 0;
#pragma unroll
  for (int round = 0; round < ROUNDS; round++) {
    int i = (round * blockDim.x + threadIdx.x) * VECTOR;
    if (i < h) {
      load(row + i, kept[round]);
#pragma unroll
      for (int j = 0; j < VECTOR; j++) squares += kept[round][j] * kept[round][j];
    }
  }
  float scale = rsqrtf(block_sum(squares, parts) / h + eps);
#pragma unroll
  for (int round = 0; round < ROUNDS; round++) {
    int i = (round * blockDim.x + threadIdx.x) * VECTOR;
    if (i < h) {
      float w[VECTOR];
      load(weight + i, w);
#pragma unroll
      for (int j = 0; j < VECTOR; j++) w[j] *= kept[round][j] * scale;
      store(out + blockIdx.x * ldo + i, w);
    }
  }
}

/// out = alpha x + beta y over n elements, the residual sum of a layer.
extern "C" __global__ void __launch_bounds__(256)
    scaled_sum(const Activation* x, float alpha, const Activation* y, float beta, Activation* out, int64_t n) {
  int64_t i = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * VECTOR;
  if (i < n) {
    float a[VECTOR], b[VECTOR];
    load(x + i, a);
    load(y + i, b);
#pragma unroll
    for (int j = 0; j < VECTOR; j++) a[j] = alpha * a[j] + beta * b[j];
    store(out + i, a);
  }
}

/// out[t] = silu(gate[t]) * up[t], the middle of a SwiGLU feed-forward; a block of y a row.
extern "C" __global__ void __launch_bounds__(256)
    silu_gate(const Activation* gate, int64_t ldg, const Activation* up, int64_t ldu, Activation* out, int64_t ldo,
              int h) {
  int i = (blockIdx.y * blockDim.x + threadIdx.x) * VECTOR;
  if (i < h) {
    int64_t t = blockIdx.x;
    float g[VECTOR], u[VECTOR];
    load(gate + t * ldg + i, g);
    load(up + t * ldu + i, u);
#pragma unroll
    for (int j = 0; j < VECTOR; j++) u[j] *= silu(g[j]);
    store(out + t * ldo + i, u);
  }
}

/// Rotates the pairs (j, j + half) of each head by positions[t] * frequencies[j], in place; a block a token. The angle
/// is an fp32 product, as in all published implementations. Dynamic shared memory: 2 * half floats.
extern "C" __global__ void __launch_bounds__(256)
    rope(Activation* x, int64_t ldt, int64_t ldh, int heads, const float* frequencies, int half, const int* positions,
         int64_t first_position) {
  L4J_DYNAMIC_SHARED(shared);
  float* cosines = reinterpret_cast<float*>(shared);
  float* sines = cosines + half;
  int64_t t = blockIdx.x;
  float position = positions != nullptr ? float(positions[t]) : float(first_position + t);
  for (int j = threadIdx.x; j < half; j += blockDim.x) {
    sincosf(position * frequencies[j], sines + j, cosines + j);
  }
  __syncthreads();
  int vectors = half / VECTOR;
  for (int unit = threadIdx.x; unit < heads * vectors; unit += blockDim.x) {
    int j = unit % vectors * VECTOR;
    Activation* at = x + t * ldt + unit / vectors * ldh + j;
    float first[VECTOR], second[VECTOR];
    load(at, first);
    load(at + half, second);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) {
      float a = first[i], b = second[i];
      first[i] = a * cosines[j + i] - b * sines[j + i];
      second[i] = b * cosines[j + i] + a * sines[j + i];
    }
    store(at, first);
    store(at + half, second);
  }
}

/// out[t] = table[ids[t]], or NaN where an id is outside the table: nobody on a GPU can be told of it otherwise.
extern "C" __global__ void __launch_bounds__(256)
    gather_rows(const Weight* table, int rows, const int* ids, Activation* out, int64_t ldo, int h) {
  int i = (blockIdx.y * blockDim.x + threadIdx.x) * VECTOR;
  if (i < h) {
    int id = ids[blockIdx.x];
    float values[VECTOR];
    if (id >= 0 && id < rows) {
      load(table + int64_t(id) * h + i, values);
    } else {
#pragma unroll
      for (int j = 0; j < VECTOR; j++) values[j] = __uint_as_float(0x7fc00000u);
    }
    store(out + blockIdx.x * ldo + i, values);
  }
}

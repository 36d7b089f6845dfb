// What else a step of a model does on the GPU itself: other types, embeddings from codes, counters of positions.
//
// Constants: X, O the codes of the element types of what is read and written; VECTOR elements at once; BITS and BLOCK of
// a quantized table.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Input;
typedef ElementOf<O>::type Output;

/// out[t] = x[t], rounded once; a block of y a row.
extern "C" __global__ void __launch_bounds__(256)
    convert(const Input* x, int64_t ldx, Output* out, int64_t ldo, int h) {
  int i = (blockIdx.y * blockDim.x + threadIdx.x) * VECTOR;
  if (i < h) {
    float values[VECTOR];
    load(x + blockIdx.x * ldx + i, values);
    store(out + blockIdx.x * ldo + i, values);
  }
}

/// out[t] = table[ids[t]] of a quantized table (see quant_cuda.cuh), exact but for the rounding of out; NaN where an id
/// is outside the table.
extern "C" __global__ void __launch_bounds__(256)
    gather_codes(const uint8_t* codes, int64_t row_bytes, const bf16* scales, const uint8_t* zeros, int blocks, int rows,
                 const int* ids, Output* out, int64_t ldo, int h) {
  int i = blockIdx.y * blockDim.x + threadIdx.x;
  if (i >= h) return;
  int64_t id = ids[blockIdx.x];
  float value = __uint_as_float(0x7fc00000u);
  if (id >= 0 && id < rows) {
    int64_t block = id * blocks + i / BLOCK;
    const uint8_t* row = codes + id * row_bytes;
    int code = BITS == 8 ? static_cast<signed char>(row[i]) : (row[i / 32 * 16 + i % 16] >> i % 32 / 16 * 4 & 15) - zeros[block];
    value = widen(scales[block]) * float(code);
  }
  out[blockIdx.x * ldo + i] = narrow<Output>(value);
}

/// counters[i] += by; negative ones, of places nobody has, stay.
extern "C" __global__ void __launch_bounds__(256) advance_counters(int* counters, int n, int by) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n && counters[i] >= 0) counters[i] += by;
}

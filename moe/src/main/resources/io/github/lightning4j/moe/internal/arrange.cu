// Scales and zero points of QuantizedMatrix, [n][blocks], to [blocks][pitch] as experts.cuh has them, zeros beyond n.
// Runs once, when weights are loaded. Constant: BYTES of an element, 2 or 1.
#include "core_cuda.cuh"

template <int bytes>
struct Unsigned {
  typedef uint8_t type;
};
template <>
struct Unsigned<2> {
  typedef uint16_t type;
};
typedef Unsigned<BYTES>::type Element;

extern "C" __global__ void __launch_bounds__(256)
    arrange(const Element* from, int n, int blocks, int pitch, Element* to) {
  int row = blockIdx.x * blockDim.x + threadIdx.x, block = blockIdx.y;
  if (row < pitch) to[int64_t(block) * pitch + row] = row < n ? from[int64_t(row) * blocks + block] : Element(0);
}

// What the kernels of the gated norm are handed: rows [t0, t1) of N elements, element types as codes of DType,
// distances between rows in elements.
#pragma once

#include <cstdint>

namespace l4j {

struct NormInputs {
  int xtype, gtype, wtype, ytype;  // ytype: of out, or of its gradient
  const void *x, *gate, *weight;   // gate may be null
  int64_t ldx, ldg, t0, t1, N;
  float eps;
};

struct NormForward : NormInputs {
  void* out;
  int64_t ldo;
};

// dx has the type of x, dgate that of gate; dweight takes sums and may be null; kept is scratch memory.
struct NormBackward : NormInputs {
  const void* dout;
  void *dx, *dgate;
  int64_t lddo, lddx, lddg;
  double* dweight;
  float* kept;
};

}  // namespace l4j

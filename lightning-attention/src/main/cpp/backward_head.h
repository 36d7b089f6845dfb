// What the backward kernels of every instruction set are handed.
#pragma once

#include <cstdint>

namespace l4j {

// One head: addresses and row strides. d_final and d_log may be null.
struct BackwardHead {
  const float *q, *k, *v, *g;
  int64_t ldq, ldk, ldv, ldg;
  float *dq, *dk, *dv;
  int64_t lddq, lddk, lddv;
  const float *initial, *d_final;
  float* d_initial;
  double* d_log;
  double log_decay;
  float scale;
  bool with_silu;
  int64_t T, Dk, Dv;
};

}  // namespace l4j

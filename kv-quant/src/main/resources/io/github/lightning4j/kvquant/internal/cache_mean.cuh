// What scores gain where keys lack their mean m, turned to their position s:
//
//   q . R_s m = sum_j A_j cos(s w_j) + B_j sin(s w_j) + sum of q_c m_c over channels that do not turn
//   A_j = q_j m_j + q_j' m_j',   B_j = q_j' m_j - q_j m_j',   j' = j + HALF
//
// With s = P + i, P the first position of a page: turned back by P, A and B meet cosines and sines of i < 64, which are
// the same for all pages. That product goes to tensor cores in fp16. Lane 4 g + t has pairs 8 n + t and 8 n + 4 + t of
// head g.
// Constants: HALF, a multiple of 8.
#pragma once
#include "core_cuda.cuh"

constexpr int kSteps = HALF / 8;

struct MeanTerm {
  float a[kSteps][2], b[kSteps][2], constant;
};

/// Of a query as it came and its kv head's mean [dim]; all of it times `scale`.
template <class T>
__device__ __forceinline__ MeanTerm mean_term(const T* q, bool present, const float* mean, int dim, float scale) {
  int t = threadIdx.x % 4;
  MeanTerm term = {};
  if (present) {
#pragma unroll
    for (int n = 0; n < kSteps; n++) {
#pragma unroll
      for (int i = 0; i < 2; i++) {
        int j = 8 * n + 4 * i + t;
        float first = scale * widen(q[j]), second = scale * widen(q[j + HALF]);
        term.a[n][i] = first * mean[j] + second * mean[j + HALF];
        term.b[n][i] = second * mean[j] - first * mean[j + HALF];
      }
    }
    for (int c = 2 * HALF + t; c < dim; c += 4) term.constant += scale * widen(q[c]) * mean[c];
  }
  term.constant += __shfl_xor_sync(kAllLanes, term.constant, 1);
  term.constant += __shfl_xor_sync(kAllLanes, term.constant, 2);
  return term;
}

/// Turned back by a page, whose cosines and sines are turns [HALF][2].
__device__ __forceinline__ void turn_back(const MeanTerm& term, const float* turns, uint32_t (&turned)[kSteps][2]) {
  int t = threadIdx.x % 4;
#pragma unroll
  for (int n = 0; n < kSteps; n++) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      Vector<float, 2> turn = *reinterpret_cast<const Vector<float, 2>*>(turns + 2 * (8 * n + 4 * i + t));
      float a = term.a[n][i] * turn.at[0] + term.b[n][i] * turn.at[1];
      float b = term.b[n][i] * turn.at[0] - term.a[n][i] * turn.at[1];
      turned[n][i] = uint32_t(narrow<f16>(a).bits) | uint32_t(narrow<f16>(b).bits) << 16;
    }
  }
}

/// Adds the term of eight tokens of a page to scores; angles [8][32 lanes][2 kSteps] are theirs in the order of lanes.
__device__ __forceinline__ void add_mean(const uint32_t (&turned)[kSteps][2], const uint32_t* angles, int eight,
                                         float (&scores)[4]) {
  const uint32_t* own = angles + (eight * kWarp + threadIdx.x % kWarp) * 2 * kSteps;
#pragma unroll
  for (int n = 0; n < kSteps; n++) {
    Vector<uint32_t, 2> two = *reinterpret_cast<const Vector<uint32_t, 2>*>(own + 2 * n);
    mma_f16(scores, {turned[n][0], 0u, turned[n][1], 0u}, {two.at[0], two.at[1]});
  }
}

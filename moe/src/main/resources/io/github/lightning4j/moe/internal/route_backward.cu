// The gradient of the routing weights, back to the logits; a warp a token.
//
//   normalized     d_logits[e_j] = w_j slope_j (g_j - (w, g) / scale)
//   sigmoid        d_logits[e_j] = w_j slope_j g_j                        slope = sigmoid(-logit), of a softmax 1
//   softmax        d_logits[e_j] = w_j g_j - p (w, g), and -p (w, g) at the others
//
// w are the weights that the forward pass left, g their gradients; an expert that was not chosen has 0, but for a softmax
// over all that is not normalized. Numerics: fp32; a token whose weights are NaN has NaN where it went.
// Cost: 4 (E + 3 k) bytes a token, and E more to read with a softmax over all. Constants: SCORE, NORMALIZED as route.cu.
#include "core_cuda.cuh"

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kSoftmax = 0, kSigmoid = 2;
constexpr bool kOverAll = SCORE == kSoftmax && !NORMALIZED;

extern "C" __global__ void __launch_bounds__(kThreads)
    route_backward(const float* logits, int64_t ld, int tokens, int experts, int k, float scale, const int* index,
                   const float* weight, const float* d_weight, float* out, int64_t ldo) {
  int lane = threadIdx.x % kWarp;
  int64_t t = int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (t >= tokens) return;
  logits += t * ld;
  out += t * ldo;
  index += t * k;
  weight += t * k;
  d_weight += t * k;
  float mean = 0;
  for (int s = lane; s < k; s += kWarp) mean += weight[s] * d_weight[s];
  mean = warp_sum(mean);
  float high = 0, all = 1;
  if (kOverAll) {
    high = logits[0];
    for (int e = lane; e < experts; e += kWarp) high = fmaxf(high, logits[e]);
#pragma unroll
    for (int flip = kWarp / 2; flip > 0; flip /= 2) high = fmaxf(high, __shfl_xor_sync(kAllLanes, high, flip));
    float sum = 0;
    for (int e = lane; e < experts; e += kWarp) sum += expf(logits[e] - high);
    all = warp_sum(sum);
  }
  float back = NORMALIZED ? mean / scale : 0.0f;
  for (int e = lane; e < experts; e += kWarp) {
    float gradient = kOverAll ? -expf(logits[e] - high) / all * mean : 0.0f;
    for (int s = 0; s < k; s++) {
      if (index[s] != e) continue;
      float slope = SCORE == kSigmoid ? 1.0f / (1.0f + expf(logits[e])) : 1.0f;
      gradient += slope * weight[s] * (d_weight[s] - back);
    }
    out[e] = gradient;
  }
}

// A policy loss of packed sequences and its gradient by the log-probabilities, with what there is to report.
//
//   L = sum_i w_i sum_t (importance_it surrogate_it + kl_weight k3_it)      as PolicyLoss says it, token by token
//
// policy_terms: a block a sequence, a thread every kThreads-th token of it. It writes the gradients and leaves the
// sequence's sums; with ratios of sequences it goes over the tokens once before, for the ratio, and once after, since
// the gradient of each token is that of the ratio. policy_join adds the sums of the sequences in their order.
//
// Numerics: double, as on the CPU, but for the log-probabilities that come in and the gradients that go out; sums over
// the tokens of a thread, then over threads, then over sequences: the same bits always. A NaN among the log-probabilities
// of tokens that count is not clipped away: it is in gradient and loss.
// Constants: KIND, 0 Cispo, 1 ClippedSurrogate, 2 Sapo; LEVEL, 0 ratios of tokens, 1 of sequences.
#include "core_cuda.cuh"

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr double kLimit = 20;

/// What is summed, in the order in which PolicySums reads it; three by the sign of the advantage are 3 in a row.
enum { kLoss, kAbove, kBelow = kAbove + 3, kStopped = kBelow + 3, kRatio = kStopped + 3, kSquare, kMost, kOld,
       kReference = kOld + 3, kSums = kReference + 3 };

/// The numbers of a loss: Cispo's bounds for positive and other advantages and its trust region, the bounds of
/// ClippedSurrogate, or the two tau of Sapo.
struct Bounds {
  double a, b, c, d, e, f;
};

struct Range {
  double lower, upper;
};

__device__ __forceinline__ double clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

__device__ __forceinline__ Range range_of(const Bounds& o, double advantage) {
  if (KIND == 0) return advantage > 0 ? Range{o.a, o.b} : Range{o.c, o.d};
  if (KIND == 1) return {o.a, o.b};
  return {0, 1.0 / 0.0};
}

/// The term of a token, and its derivative by the log-ratio; `moves` is the ratio, or 0 where that is clamped.
__device__ __forceinline__ double term(const Bounds& o, double ratio, double moves, double advantage, double log_prob,
                                       double& slope) {
  Range range = range_of(o, advantage);
  double clipped = clamp(ratio, range.lower, range.upper) * advantage;
  if (KIND == 0) {
    bool stops = (advantage > 0 && ratio > o.f) || (advantage < 0 && ratio < o.e);
    slope = stops ? 0 : -clipped;
    return slope * log_prob;
  }
  if (KIND == 1) {
    bool stops = ratio * advantage > clipped;
    slope = stops ? 0 : -(moves * advantage);
    return stops ? -clipped : -(ratio * advantage);
  }
  double tau = advantage > 0 ? o.a : o.b, s = 1 / (1 + exp(-tau * (ratio - 1)));
  slope = -4 * s * (1 - s) * moves * advantage;
  return -4 / tau * s * advantage;
}

__device__ __forceinline__ double join(double a, double b, bool most) { return most ? fmax(a, b) : a + b; }

/// The sum, or the largest, over the block, for every thread.
__device__ __forceinline__ double over_block(double x, double* parts, bool most) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) x = join(x, __shfl_xor_sync(kAllLanes, x, flip), most);
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  x = parts[0];
  for (int i = 1; i < kWarps; i++) x = join(x, parts[i], most);
  return x;
}

__device__ __forceinline__ void add_kl(double* sums, double difference) {
  double d = clamp(difference, -kLimit, kLimit);
  sums[0] -= d;
  sums[1] += d * d / 2;
  sums[2] += expm1(d) - d;
}

/// Block i has the tokens [offsets[i], offsets[i + 1]). A weight of 0 is a token that does not count, of which nothing
/// is read. importance and reference may be null. partial [sequences][kSums].
extern "C" __global__ void __launch_bounds__(kThreads)
    policy_terms(const float* log_prob, const int* offsets, const double* old, const double* advantages,
                 const double* weights, const double* importance, const double* reference, double a, double b, double c,
                 double d, double e, double f, double kl_weight, float* gradient, double* partial) {
  __shared__ double parts[kWarps];
  Bounds bounds = {a, b, c, d, e, f};
  int begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
  double mean = 0, tokens = 0;
  if (LEVEL == 1) {
    for (int t = begin + int(threadIdx.x); t < end; t += kThreads) {
      if (weights[t] == 0) continue;
      mean += log_prob[t] - old[t];
      tokens += 1;
    }
    tokens = over_block(tokens, parts, false);
    mean = over_block(mean, parts, false) / tokens;
  }
  double sums[kSums] = {}, slopes = 0;
  for (int t = begin + int(threadIdx.x); t < end; t += kThreads) {
    double w = weights[t];
    if (w == 0) {
      gradient[t] = 0;
      continue;
    }
    double log_p = log_prob[t], own = log_p - old[t], advantage = advantages[t];
    double log_ratio = LEVEL == 1 ? mean : own, ratio = exp(clamp(log_ratio, -kLimit, kLimit)), slope;
    double value = term(bounds, ratio, fabs(log_ratio) > kLimit ? 0 : ratio, advantage, log_p, slope);
    double factor = importance != nullptr ? importance[t] : 1;
    sums[kLoss] += w * factor * value;
    Range range = range_of(bounds, advantage);
    int sign = advantage > 0 ? 0 : advantage < 0 ? 1 : 2;
#pragma unroll
    for (int s = 0; s < 3; s++) {
      sums[kAbove + s] += s == sign && ratio > range.upper;
      sums[kBelow + s] += s == sign && ratio < range.lower;
      sums[kStopped + s] += s == sign && slope == 0;
    }
    sums[kRatio] += ratio;
    sums[kSquare] += ratio * ratio;
    sums[kMost] = fmax(sums[kMost], ratio);
    add_kl(sums + kOld, own);
    double penalty = 0;
    if (reference != nullptr) {
      double far = reference[t] - log_p, near = clamp(far, -kLimit, kLimit), more = expm1(near);
      add_kl(sums + kReference, far);
      if (kl_weight != 0) {
        sums[kLoss] += w * kl_weight * (more - near);
        penalty = fabs(far) > kLimit ? 0 : -kl_weight * more;
      }
    }
    slopes += factor * slope;
    if (LEVEL == 0) gradient[t] = float(w * (factor * slope + penalty));
  }
  if (LEVEL == 1) {
    double each = over_block(slopes, parts, false) / tokens;
    for (int t = begin + int(threadIdx.x); t < end; t += kThreads) {
      if (weights[t] == 0) continue;
      double far = reference != nullptr && kl_weight != 0 ? reference[t] - double(log_prob[t]) : 0;
      double penalty = fabs(far) > kLimit ? 0 : -kl_weight * expm1(far);
      gradient[t] = float(weights[t] * (each + penalty));
    }
  }
#pragma unroll
  for (int s = 0; s < kSums; s++) {
    double all = over_block(sums[s], parts, s == kMost);
    if (threadIdx.x == 0) partial[int64_t(blockIdx.x) * kSums + s] = all;
  }
}

/// sums [kSums] of all sequences; a thread a sum.
extern "C" __global__ void __launch_bounds__(32) policy_join(const double* partial, int sequences, double* sums) {
  int s = threadIdx.x;
  if (s >= kSums) return;
  double all = 0;
  for (int i = 0; i < sequences; i++) all = join(all, partial[int64_t(i) * kSums + s], s == kMost);
  sums[s] = all;
}

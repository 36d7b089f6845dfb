// Balance and z-loss of a router over the tokens of a call, and their gradient.
//
//   balance = sum_e n_e P_e / N^2        n_e choices of e, P_e = sum_t p_te, N tokens that count
//   z = sum_t lse_t^2 / N
//   d_logits_e = p_e slope_e (a_e - (p, a)) + 2 z_weight lse softmax_e / N,   a_e = weight n_e / N^2
//
// p is the softmax, or the sigmoids over their sum (slope 1 or sigmoid(-logit)). aux_sums leaves the sums of kTokens
// tokens a block, aux_join adds blocks in their order, aux_gradients is a warp a token, which makes p again.
// Numerics: double, gradients rounded once; no atomics. Cost: 8 E bytes a token read, 4 E written.
// Constant: SCORE, as route.cu.
#include "core_cuda.cuh"

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kTokens = 64;
constexpr bool kSigmoid = SCORE == 2;

__device__ __forceinline__ double warp_total(double x) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) x += __shfl_xor_sync(kAllLanes, x, flip);
  return x;
}

/// What the probabilities of a token are made of; sums over its experts for every lane.
struct Row {
  double high, all, shares;

  /// e^(logit - high): its sum is `all`.
  __device__ __forceinline__ double power(double logit) const { return exp(logit - high); }
  /// A multiple of p: its sum is `shares`. Where all sigmoids vanish this one's do not.
  __device__ __forceinline__ double share(double logit) const {
    if (!kSigmoid) return power(logit);
    return exp(fmin(logit, 0.0) - fmin(high, 0.0)) / (1 + exp(-fabs(logit)));
  }
  __device__ __forceinline__ double log_sum_exp() const { return high + log(all); }
};

__device__ __forceinline__ Row row_of(const float* logits, int experts) {
  int lane = threadIdx.x % kWarp;
  double high = logits[0];
  for (int e = lane; e < experts; e += kWarp) high = fmax(high, double(logits[e]));
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) high = fmax(high, __shfl_xor_sync(kAllLanes, high, flip));
  Row row = {high, 0, 0};
  for (int e = lane; e < experts; e += kWarp) {
    row.all += row.power(logits[e]);
    row.shares += row.share(logits[e]);
  }
  row.all = warp_total(row.all);
  row.shares = warp_total(row.shares);
  return row;
}

/// partial [blocks][2 E + 2]: P_e, n_e, the sum of lse^2, N. mask may be null.
extern "C" __global__ void __launch_bounds__(kThreads)
    aux_sums(const float* logits, int64_t ld, const int* index, int64_t ldi, const int* mask, int tokens, int experts,
             int k, double* partial) {
  __shared__ Row rows[kTokens];
  __shared__ bool counting[kTokens];
  int64_t first = int64_t(blockIdx.x) * kTokens;
  int here = min(kTokens, int(tokens - first));
  for (int t = threadIdx.x / kWarp; t < here; t += kWarps) {
    bool counts = mask == nullptr || mask[first + t] != 0;
    Row row = row_of(logits + (first + t) * ld, experts);
    if (threadIdx.x % kWarp == 0) {
      rows[t] = row;
      counting[t] = counts;
    }
  }
  __syncthreads();
  partial += blockIdx.x * int64_t(2 * experts + 2);
  for (int e = threadIdx.x; e < experts; e += kThreads) {
    double probability = 0;
    int chosen = 0;
    for (int t = 0; t < here; t++) {
      if (!counting[t]) continue;
      probability += rows[t].share(logits[(first + t) * ld + e]) / rows[t].shares;
      for (int s = 0; s < k; s++) chosen += index[(first + t) * ldi + s] == e;
    }
    partial[e] = probability;
    partial[experts + e] = chosen;
  }
  if (threadIdx.x == 0) {
    double squares = 0, count = 0;
    for (int t = 0; t < here; t++) {
      if (!counting[t]) continue;
      double lse = rows[t].log_sum_exp();
      squares += lse * lse;
      count += 1;
    }
    partial[2 * experts] = squares;
    partial[2 * experts + 1] = count;
  }
}

/// loads [E] gets n_e / N^2, values [3] balance, z and N.
extern "C" __global__ void __launch_bounds__(kThreads)
    aux_join(const double* partial, int blocks, int experts, double* loads, double* values) {
  L4J_DYNAMIC_SHARED(memory);
  double* terms = reinterpret_cast<double*>(memory);
  int width = 2 * experts + 2;
  double squares = 0, count = 0;
  for (int b = 0; b < blocks; b++) {
    squares += partial[b * int64_t(width) + 2 * experts];
    count += partial[b * int64_t(width) + 2 * experts + 1];
  }
  for (int e = threadIdx.x; e < experts; e += kThreads) {
    double probability = 0, chosen = 0;
    for (int b = 0; b < blocks; b++) {
      probability += partial[b * int64_t(width) + e];
      chosen += partial[b * int64_t(width) + experts + e];
    }
    double load = count > 0 ? chosen / count / count : 0;
    loads[e] = load;
    terms[e] = load * probability;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double balance = 0;
    for (int e = 0; e < experts; e++) balance += terms[e];
    values[0] = balance;
    values[1] = count > 0 ? squares / count : 0;
    values[2] = count;
  }
}

/// out [T, E], or added to it; 0 for tokens that do not count. weight and z_weight are the coefficients.
extern "C" __global__ void __launch_bounds__(kThreads)
    aux_gradients(const float* logits, int64_t ld, const int* mask, int tokens, int experts, const double* loads,
                  const double* values, double weight, double z_weight, float* out, int64_t ldo, int add) {
  int lane = threadIdx.x % kWarp;
  int64_t t = int64_t(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (t >= tokens) return;
  logits += t * ld;
  out += t * ldo;
  bool counts = mask == nullptr || mask[t] != 0;
  Row row = row_of(logits, experts);
  double mean = 0;
  for (int e = lane; e < experts; e += kWarp) mean += row.share(logits[e]) / row.shares * loads[e];
  mean = warp_total(mean);
  double z = z_weight == 0 ? 0 : 2 * z_weight * row.log_sum_exp() / values[2];
  for (int e = lane; e < experts; e += kWarp) {
    double logit = logits[e], own = kSigmoid ? 1 / (1 + exp(logit)) : 1;
    double gradient = weight * own * row.share(logit) / row.shares * (loads[e] - mean);
    if (z_weight != 0) gradient += z * row.power(logit) / row.all;
    if (!counts) gradient = 0;
    out[e] = add ? float(out[e] + gradient) : float(gradient);
  }
}

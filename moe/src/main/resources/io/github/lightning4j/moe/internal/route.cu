// Top-k routing and the stable counting sort of the token-expert pairs by expert: what tells the experts' kernels where
// to work, without the host.
//
//   route_tokens   a block has a segment of tokens and a warp each of its tokens: experts and weights by the rules of
//                  Router. The block then ranks its pairs t * k + j: how many of the same expert come before, within
//                  the segment. With one segment, all of a decode step, that is the whole sort.
//   scan_segments  one block: where each expert begins, and each segment within it.
//   place_pairs    a thread a pair: its slot, and the token of each slot.
//
// Slots of expert e are [offsets[e], offsets[e + 1]), in ascending order of pairs: no atomics, the same bits always.
// Numerics: fp32 as the CPU's kernel, scores of groups in double. A token whose logits are NaN, +infinity or all
// -infinity goes to the experts 0 to k - 1 with weights NaN, so its result is NaN and nobody else's.
// Cost: E + k E comparisons a token, 4 (E + 5 k) bytes; three launches, or one.
// Constants: SCORE, the ordinal of RouterOptions.Score; NORMALIZED.
#include "core_cuda.cuh"

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kSoftmax = 0, kSigmoid = 2;
constexpr int kNone = 0x7fffffff;

__device__ __forceinline__ float infinity() { return __uint_as_float(0x7f800000u); }

template <class T>
struct Best {
  T key;
  int index;
};

/// Largest first, of equals the lowest index first.
template <class T>
__device__ __forceinline__ bool ahead(const Best<T>& a, const Best<T>& b) {
  return a.key > b.key || (a.key == b.key && a.index < b.index);
}

template <class T>
__device__ __forceinline__ Best<T> warp_best(Best<T> best) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) {
    Best<T> other = {__shfl_xor_sync(kAllLanes, best.key, flip), __shfl_xor_sync(kAllLanes, best.index, flip)};
    if (ahead(other, best)) best = other;
  }
  return best;
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/// What the weight of a chosen expert is before it is divided by the sum over the chosen.
__device__ __forceinline__ float share(float logit, float high) {
  if (SCORE != kSigmoid) return expf(logit - high);
  return expf(fminf(logit, 0.0f) - fminf(high, 0.0f)) / (1.0f + expf(-fabsf(logit)));
}

/// The sum of the largest keys above -infinity; -infinity if there is none.
__device__ __forceinline__ double group_score(const float* keys, int size, int best_of_group) {
  Best<float> last = {infinity(), -1};
  double total = -infinity();
  for (int i = 0; i < best_of_group; i++) {
    Best<float> next = {-infinity(), kNone};
    for (int e = 0; e < size; e++) {
      Best<float> own = {keys[e], e};
      if (ahead(last, own) && ahead(own, next)) next = own;
    }
    if (!(next.key > -infinity())) break;
    total = i == 0 ? next.key : total + next.key;
    last = next;
  }
  return total;
}

/// What one warp has in shared memory.
struct Row {
  double* groups;
  float *logits, *scores;
  int *kept, *chosen;
};

/// Marks the groups that experts are chosen of.
__device__ __forceinline__ void keep_groups(const Row& row, const float* keys, int size, int groups, int top_groups,
                                            int best_of_group) {
  int lane = threadIdx.x % kWarp;
  for (int g = lane; g < groups; g += kWarp) {
    row.groups[g] = group_score(keys + g * size, size, best_of_group);
    row.kept[g] = 0;
  }
  __syncwarp();
  Best<double> last = {infinity(), -1};
  for (int i = 0; i < top_groups; i++) {
    Best<double> next = {-infinity(), kNone};
    for (int g = lane; g < groups; g += kWarp) {
      Best<double> own = {row.groups[g], g};
      if (ahead(last, own) && ahead(own, next)) next = own;
    }
    last = warp_best(next);
    if (lane == 0) row.kept[last.index] = 1;
  }
  __syncwarp();
}

/// The k experts of a token into row.chosen; false if there are not so many.
__device__ __forceinline__ bool choose(const Row& row, const float* keys, int experts, int k, int group_size) {
  int lane = threadIdx.x % kWarp;
  Best<float> last = {infinity(), -1};
  for (int s = 0; s < k; s++) {
    Best<float> next = {-infinity(), kNone};
    for (int e = lane; e < experts; e += kWarp) {
      Best<float> own = {keys[e], e};
      if ((group_size == 0 || row.kept[e / group_size]) && ahead(last, own) && ahead(own, next)) next = own;
    }
    last = warp_best(next);
    if (last.index == kNone) return false;
    if (lane == 0) row.chosen[s] = last.index;
  }
  __syncwarp();
  return true;
}

/// Routes a token whose logits are in shared memory; the weights go to `weight`.
__device__ __forceinline__ bool route(const Row& row, int experts, int k, const float* bias, int groups, int top_groups,
                                      int best_of_group, float scale, float* weight) {
  int lane = threadIdx.x % kWarp;
  float high = -infinity();
  bool broken = false;
  for (int e = lane; e < experts; e += kWarp) {
    float logit = row.logits[e];
    broken |= !(logit < infinity());
    high = fmaxf(high, logit);
  }
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) high = fmaxf(high, __shfl_xor_sync(kAllLanes, high, flip));
  if (__any_sync(kAllLanes, broken) || !(high > -infinity())) return false;

  bool limits = top_groups < groups;
  bool by_scores = bias != nullptr || (limits && best_of_group > 1);
  float all = 1;
  if (SCORE == kSoftmax && (by_scores || !NORMALIZED)) {
    float sum = 0;
    for (int e = lane; e < experts; e += kWarp) sum += expf(row.logits[e] - high);
    all = warp_sum(sum);
  }
  if (by_scores) {
    for (int e = lane; e < experts; e += kWarp) {
      float logit = row.logits[e], key = logit;
      if (SCORE == kSoftmax) key = expf(logit - high) / all;
      if (SCORE == kSigmoid) key = sigmoid(logit);
      if (bias != nullptr) key += bias[e];
      row.scores[e] = logit == -infinity() ? logit : key;
    }
    __syncwarp();
  }
  int size = limits ? experts / groups : 0;
  if (limits) keep_groups(row, by_scores ? row.scores : row.logits, size, groups, top_groups, best_of_group);
  if (!choose(row, bias != nullptr ? row.scores : row.logits, experts, k, size)) return false;

  if (NORMALIZED) {
    high = -infinity();
    for (int s = 0; s < k; s++) high = fmaxf(high, row.logits[row.chosen[s]]);
    float total = 0;
    for (int s = 0; s < k; s++) total += share(row.logits[row.chosen[s]], high);
    for (int s = lane; s < k; s += kWarp) weight[s] = share(row.logits[row.chosen[s]], high) / total * scale;
  } else {
    for (int s = lane; s < k; s += kWarp) {
      float logit = row.logits[row.chosen[s]];
      weight[s] = scale * (SCORE == kSigmoid ? sigmoid(logit) : expf(logit - high) / all);
    }
  }
  return true;
}

/// The exclusive sums of `experts` counts by one warp, into offsets [experts + 1].
__device__ __forceinline__ void scan_experts(const int* counts, int experts, int* offsets) {
  int lane = threadIdx.x % kWarp, before = 0;
  for (int from = 0; from < experts; from += kWarp) {
    int own = from + lane < experts ? counts[from + lane] : 0, sum = own;
#pragma unroll
    for (int by = 1; by < kWarp; by *= 2) {
      int other = __shfl_up_sync(kAllLanes, sum, by);
      if (lane >= by) sum += other;
    }
    if (from + lane < experts) offsets[from + lane] = before + sum - own;
    before += __shfl_sync(kAllLanes, sum, kWarp - 1);
  }
  if (lane == 0) offsets[experts] = before;
}

/// How many of the same expert come before each pair of a segment; counts the pairs of each expert. By one warp.
__device__ __forceinline__ void rank_pairs(const int* ids, int pairs, int id_bits, int* counts, int* ranks) {
  int lane = threadIdx.x % kWarp;
  for (int from = 0; from < pairs; from += kWarp) {
    bool present = from + lane < pairs;
    int id = present ? ids[from + lane] : 0;
    unsigned same = __ballot_sync(kAllLanes, present);
    for (int bit = 0; bit < id_bits; bit++) {
      unsigned set = __ballot_sync(kAllLanes, id >> bit & 1);
      same &= id >> bit & 1 ? set : ~set;
    }
    int before = __popc(same & ((1u << lane) - 1));
    int base = present ? counts[id] : 0;
    __syncwarp();
    if (present) {
      ranks[from + lane] = base + before;
      if (before == 0) counts[id] = base + __popc(same);
    }
    __syncwarp();
  }
}

/// Dynamic shared memory: for each warp the doubles of its groups, 2 E floats, groups and k ints; then E counts, the
/// ids and the ranks of the segment's pairs, and E + 1 offsets.
extern "C" __global__ void __launch_bounds__(kThreads)
    route_tokens(const float* logits, int64_t ld, int tokens, int experts, int k, const float* bias, int groups,
                 int top_groups, int best_of_group, float scale, int segment, int* index, float* weight, int* counts,
                 int* positions, int* offsets, int* sources) {
  L4J_DYNAMIC_SHARED(memory);
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  double* doubles = reinterpret_cast<double*>(memory);
  float* floats = reinterpret_cast<float*>(doubles + kWarps * groups);
  int* ints = reinterpret_cast<int*>(floats + kWarps * 2 * experts);
  Row row = {doubles + warp * groups, floats + warp * 2 * experts, floats + (warp * 2 + 1) * experts,
             ints + warp * (groups + k), ints + warp * (groups + k) + groups};
  int* own_counts = ints + kWarps * (groups + k);
  int* ids = own_counts + experts;
  int* ranks = ids + segment * k;
  int* own_offsets = ranks + segment * k;

  int first = blockIdx.x * segment, here = min(segment, tokens - first);
  for (int e = threadIdx.x; e < experts; e += kThreads) own_counts[e] = 0;
  for (int t = warp; t < here; t += kWarps) {
    int64_t token = first + t;
    for (int e = lane; e < experts; e += kWarp) row.logits[e] = logits[token * ld + e];
    __syncwarp();
    bool routed = route(row, experts, k, bias, groups, top_groups, best_of_group, scale, weight + token * k);
    for (int s = lane; s < k; s += kWarp) {
      int id = routed ? row.chosen[s] : s;
      if (!routed) weight[token * k + s] = __uint_as_float(0x7fc00000u);
      ids[t * k + s] = id;
      index[token * k + s] = id;
    }
    __syncwarp();
  }
  __syncthreads();
  int pairs = here * k;
  if (warp == 0) rank_pairs(ids, pairs, kWarp - __clz(experts), own_counts, ranks);
  __syncthreads();
  if (gridDim.x > 1) {
    for (int e = threadIdx.x; e < experts; e += kThreads) counts[blockIdx.x * experts + e] = own_counts[e];
    for (int i = threadIdx.x; i < pairs; i += kThreads) positions[first * k + i] = ranks[i];
    return;
  }
  if (warp == 0) scan_experts(own_counts, experts, own_offsets);
  __syncthreads();
  for (int e = threadIdx.x; e <= experts; e += kThreads) offsets[e] = own_offsets[e];
  for (int i = threadIdx.x; i < pairs; i += kThreads) {
    int position = own_offsets[ids[i]] + ranks[i];
    positions[i] = position;
    sources[position] = i / k;
  }
}

/// counts [segments, E] become what comes before each segment in its expert. Dynamic shared memory: E ints.
extern "C" __global__ void __launch_bounds__(1024) scan_segments(int* counts, int segments, int experts, int* offsets) {
  L4J_DYNAMIC_SHARED(memory);
  int* totals = reinterpret_cast<int*>(memory);
  for (int e = threadIdx.x; e < experts; e += blockDim.x) {
    int before = 0;
#pragma unroll 8
    for (int s = 0; s < segments; s++) {
      int own = counts[s * experts + e];
      counts[s * experts + e] = before;
      before += own;
    }
    totals[e] = before;
  }
  __syncthreads();
  if (threadIdx.x < kWarp) scan_experts(totals, experts, offsets);
}

extern "C" __global__ void __launch_bounds__(kThreads)
    place_pairs(const int* index, int pairs, int k, int segment, int experts, const int* counts, const int* offsets,
                int* positions, int* sources) {
  int pair = blockIdx.x * kThreads + threadIdx.x;
  if (pair < pairs) {
    int id = index[pair], token = pair / k;
    int position = offsets[id] + counts[token / segment * experts + id] + positions[pair];
    positions[pair] = position;
    sources[position] = token;
  }
}

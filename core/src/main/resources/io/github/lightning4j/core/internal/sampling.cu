// Tokens drawn from rows of logits, without the logits leaving the GPU; each row with options of its own.
//
//   s = logit, those of `seen` tokens divided (or multiplied, if negative) by the repetition penalty
//   p = exp((s - max s) / temperature), 0 where below min-p
//   kept: the top-k largest p, of these the fewest that have top-p of their mass; then one uniform number
//
// Nothing is sorted. Probabilities are turned into integers of 2^-44, whose sums do not depend on any order, and the
// place in the descending order (equals by id) where a count or a mass is reached is found by histograms of the bits of
// p: ten bits at a time, three times. The uniform number is that of java.util.SplittableRandom, which counts: seed and
// number of the draw give it, so a result does not depend on what else is in the batch.
//
// Three launches: penalised scores and their maximum, parts of a row side by side; p, the same; then a block a row.
// options [B][5] double: temperature (0: the largest), top-k (0: all), top-p, min-p, repetition penalty.
// Constants: X the code of the type of logits.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Logit;

constexpr int kPartThreads = 256;
constexpr int kPickThreads = 1024;
constexpr int kWarps = kPickThreads / kWarp;
constexpr int kBins = 1024;

/// Orders by value, among equals the smaller id first; NaN below everything.
__device__ __forceinline__ uint64_t key(float x, int id) {
  uint32_t bits = __float_as_uint(x);
  uint32_t order = bits >> 31 ? ~bits : bits | 0x80000000u;
  if (x == 0) order = 0x80000000u;
  if (x != x) order = 0;
  return uint64_t(order) << 32 | ~uint32_t(id);
}

__device__ __forceinline__ float value_of(uint64_t key) {
  uint32_t order = uint32_t(key >> 32);
  return __uint_as_float(order >> 31 ? order & 0x7fffffffu : ~order);
}

__device__ __forceinline__ uint64_t larger(uint64_t a, uint64_t b) { return a < b ? b : a; }

__device__ __forceinline__ uint64_t warp_largest(uint64_t x) {
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) x = larger(x, __shfl_xor_sync(kAllLanes, x, flip));
  return x;
}

/// Scores of a part of row blockIdx.y, and the largest of them.
extern "C" __global__ void __launch_bounds__(kPartThreads)
    sample_scores(const Logit* logits, int64_t ld, int n, const double* options, const uint8_t* seen, float* scores,
                  uint64_t* parts) {
  __shared__ uint64_t best_of_warp[kWarp];
  int64_t row = blockIdx.y;
  float penalty = float(options[row * 5 + 4]);
  uint64_t best = 0;
  for (int i = blockIdx.x * kPartThreads + threadIdx.x; i < n; i += gridDim.x * kPartThreads) {
    float s = widen(logits[row * ld + i]);
    if (seen != nullptr && penalty != 1 && seen[row * n + i]) s = s > 0 ? s / penalty : s * penalty;
    scores[row * n + i] = s;
    best = larger(best, key(s, i));
  }
  best = warp_largest(best);
  int lane = threadIdx.x % kWarp;
  if (lane == 0) best_of_warp[threadIdx.x / kWarp] = best;
  __syncthreads();
  if (threadIdx.x < kWarp) {
    best = warp_largest(lane < kPartThreads / kWarp ? best_of_warp[lane] : 0);
    if (lane == 0) parts[row * gridDim.x + blockIdx.x] = best;
  }
}

__device__ __forceinline__ uint64_t largest_of(const uint64_t* parts, int count) {
  uint64_t best = 0;
  for (int i = threadIdx.x % kWarp; i < count; i += kWarp) best = larger(best, parts[i]);
  return warp_largest(best);
}

/// Scores become p.
extern "C" __global__ void __launch_bounds__(kPartThreads)
    sample_weights(float* scores, int n, const double* options, const uint64_t* parts) {
  int64_t row = blockIdx.y;
  double temperature = options[row * 5], least = options[row * 5 + 3];
  double best = value_of(largest_of(parts + row * gridDim.x, gridDim.x));
  if (temperature == 0) return;
  for (int i = blockIdx.x * kPartThreads + threadIdx.x; i < n; i += gridDim.x * kPartThreads) {
    double p = exp((scores[row * n + i] - best) / temperature);
    scores[row * n + i] = p >= least ? float(p) : 0.0f;
  }
}

__device__ __forceinline__ uint64_t mass_of(float p) { return uint64_t(p * 0x1p44f); }

/// A lane goes over 32 neighbours: a gap after each 32 keeps lanes in banks of their own.
struct Bins {
  uint32_t counts[kBins + kBins / kWarp];
  uint64_t masses[kBins + kBins / kWarp];
};

__device__ __forceinline__ int slot(int bin) { return bin + bin / kWarp; }

/// Where a count or a mass is reached in descending order: all above `bits`, and `ties` of those that have them.
struct Cut {
  uint32_t bits, ties;
  uint64_t mass;
};

struct Shared {
  Bins top, finer;
  uint64_t of_warp[kWarps];
  uint32_t bin;
  uint64_t count_above, mass_above;
  int id;
};

/// Counts those of the p > 0 whose bits above `shift` + 10 are `prefix`, by the ten bits that follow.
__device__ void fill(Bins& bins, const float* p, int n, int shift, uint32_t prefix) {
  for (int i = threadIdx.x; i < kBins; i += kPickThreads) bins.counts[slot(i)] = 0, bins.masses[slot(i)] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += kPickThreads) {
    uint32_t bits = __float_as_uint(p[i]);
    if (!(p[i] > 0) || bits >> shift >> 10 != prefix) continue;
    int at = slot(bits >> shift & (kBins - 1));
    atomicAdd(&bins.counts[at], 1u);
    atomicAdd(reinterpret_cast<unsigned long long*>(&bins.masses[at]),
              static_cast<unsigned long long>(mass_of(p[i])));
  }
  __syncthreads();
}

/// Finds the bin, from the largest down, in which count or mass comes to `target`; one warp does.
__device__ void descend(Shared& shared, const Bins& bins, bool by_mass, uint64_t target) {
  if (threadIdx.x < kWarp) {
    int lane = threadIdx.x, last = kBins - 1 - lane * kWarp;
    uint64_t count = 0, mass = 0;
    for (int i = 0; i < kWarp; i++) count += bins.counts[slot(last - i)], mass += bins.masses[slot(last - i)];
    uint64_t count_before = count, mass_before = mass;
#pragma unroll
    for (int by = 1; by < kWarp; by *= 2) {
      uint64_t c = __shfl_up_sync(kAllLanes, count_before, by), m = __shfl_up_sync(kAllLanes, mass_before, by);
      if (lane >= by) count_before += c, mass_before += m;
    }
    count_before += shared.count_above - count;
    mass_before += shared.mass_above - mass;
    __syncwarp();
    uint64_t before = by_mass ? mass_before : count_before, own = by_mass ? mass : count;
    if (before < target && target <= before + own) {
      int bin = last;
      while ((by_mass ? mass_before + bins.masses[slot(bin)] : count_before + bins.counts[slot(bin)]) < target) {
        count_before += bins.counts[slot(bin)], mass_before += bins.masses[slot(bin)];
        bin--;
      }
      shared.bin = bin;
      shared.count_above = count_before;
      shared.mass_above = mass_before;
    }
  }
  __syncthreads();
}

/// How many p > 0 there are in all, into shared.count_above, and their mass.
__device__ void total(Shared& shared) {
  if (threadIdx.x < kWarp) {
    uint64_t count = 0, mass = 0;
    for (int i = threadIdx.x; i < kBins; i += kWarp) count += shared.top.counts[slot(i)], mass += shared.top.masses[slot(i)];
#pragma unroll
    for (int flip = kWarp / 2; flip > 0; flip /= 2) {
      count += __shfl_xor_sync(kAllLanes, count, flip);
      mass += __shfl_xor_sync(kAllLanes, mass, flip);
    }
    if (threadIdx.x == 0) shared.count_above = count, shared.mass_above = mass;
  }
  __syncthreads();
}

/// shared.top is filled; target is at least 1 and at most what there is.
__device__ Cut find(Shared& shared, const float* p, int n, bool by_mass, uint64_t target) {
  __syncthreads();
  if (threadIdx.x == 0) shared.count_above = 0, shared.mass_above = 0;
  __syncthreads();
  descend(shared, shared.top, by_mass, target);
  uint32_t bits = shared.bin;
  for (int shift = 10; shift >= 0; shift -= 10) {
    fill(shared.finer, p, n, shift, bits);
    descend(shared, shared.finer, by_mass, target);
    bits = bits << 10 | shared.bin;
  }
  uint64_t each = mass_of(__uint_as_float(bits));
  uint64_t ties = by_mass ? (target - shared.mass_above + each - 1) / each : target - shared.count_above;
  return {bits, uint32_t(ties), shared.mass_above + ties * each};
}

/// Of the p whose bits are `bits` (all, if 0) the one, in the order of ids, where count (mass, if 0) comes to `target`.
/// With a fraction of 64 bits instead of a target, where mass comes to more than that fraction of it.
__device__ int in_order(Shared& shared, const float* p, int n, uint32_t bits, uint64_t target, uint64_t fraction) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int span = (n + kPickThreads - 1) / kPickThreads * kWarp;
  int first = warp * span, end = min(n, first + span);
  auto amount = [&](int i) -> uint64_t {
    if (i >= end) return 0;
    return bits == 0 ? mass_of(p[i]) : __float_as_uint(p[i]) == bits;
  };
  uint64_t own = 0;
  for (int i = first + lane; i < end; i += kWarp) own += amount(i);
#pragma unroll
  for (int flip = kWarp / 2; flip > 0; flip /= 2) own += __shfl_xor_sync(kAllLanes, own, flip);
  if (lane == 0) shared.of_warp[warp] = own;
  __syncthreads();
  uint64_t before = 0, total = 0;
  for (int i = 0; i < kWarps; i++) {
    if (i == warp) before = total;
    total += shared.of_warp[i];
  }
  if (bits == 0) target = __umul64hi(fraction, total) + 1;
  if (before < target && target <= before + own) {
    for (int start = first; start < end; start += kWarp) {
      uint64_t sum = amount(start + lane), single = sum;
#pragma unroll
      for (int by = 1; by < kWarp; by *= 2) {
        uint64_t lower = __shfl_up_sync(kAllLanes, sum, by);
        if (lane >= by) sum += lower;
      }
      if (before + sum - single < target && target <= before + sum) shared.id = start + lane;
      before += __shfl_sync(kAllLanes, sum, kWarp - 1);
    }
  }
  __syncthreads();
  return shared.id;
}

/// The n-th number of java.util.SplittableRandom(seed) as 64 bits of which the first 53 are those of nextDouble.
__device__ __forceinline__ uint64_t uniform(uint64_t seed, uint32_t draw) {
  uint64_t z = seed + (uint64_t(draw) + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return (z ^ z >> 31) & ~uint64_t(0x7ff);
}

/// The token of row blockIdx.x, and its mark in `seen`; -1 where no score is finite or the largest is infinite.
extern "C" __global__ void __launch_bounds__(kPickThreads)
    sample_pick(const float* weights, int n, const double* options, const uint64_t* parts, int count,
                const int64_t* seeds, const int* draws, uint8_t* seen, int* out) {
  __shared__ Shared shared;
  int64_t row = blockIdx.x;
  const float* p = weights + row * n;
  double temperature = options[row * 5], top_p = options[row * 5 + 2];
  uint64_t top_k = uint64_t(options[row * 5 + 1]);
  uint64_t best = largest_of(parts + row * count, count);
  float highest = value_of(best);
  int id = int(~uint32_t(best));
  if (!(highest - highest == 0)) {
    id = -1;
  } else if (temperature != 0) {
    uint64_t fraction = uniform(uint64_t(seeds[row]), uint32_t(draws[row]));
    bool sorted = false;
    Cut kept{};
    if (top_k > 0 || top_p < 1) {
      fill(shared.top, p, n, 20, 0);
      total(shared);
      kept.mass = shared.mass_above;
      if (top_k > 0 && top_k < shared.count_above) {
        kept = find(shared, p, n, false, top_k);
        sorted = true;
      }
      if (top_p < 1) {
        uint64_t wanted = uint64_t(ceil(top_p * double(kept.mass)));
        kept = find(shared, p, n, true, wanted < 1 ? 1 : wanted > kept.mass ? kept.mass : wanted);
        sorted = true;
      }
    }
    if (sorted) {
      Cut drawn = find(shared, p, n, true, __umul64hi(fraction, kept.mass) + 1);
      id = in_order(shared, p, n, drawn.bits, drawn.ties, 0);
    } else {
      id = in_order(shared, p, n, 0, 0, fraction);
    }
  }
  if (threadIdx.x == 0) {
    out[row] = id;
    if (seen != nullptr && id >= 0) seen[row * n + id] = 1;
  }
}

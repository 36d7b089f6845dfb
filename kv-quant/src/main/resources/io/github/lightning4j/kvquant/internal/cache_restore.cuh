// Quantized tokens of a page as attention reads them, in bf16: what is done once a page for 128 rows of queries.
//
//   x' = s (c - z)     value  Had x'     key  Had x' + R_s m     Had and the mean m only where the format has them
//
// A warp has 16 tokens. Had is two steps: 16 channels at a time on tensor cores, where codes meet 1 and -1 and all sums
// are exact, then the others by additions, since a lane has the same channel of every 16. Scales are applied to sums;
// a zero point is the same in all channels, so Had brings it to channel 0 alone. The mean is turned to the page once
// and to its tokens by cosines and sines of positions within a page. Results are rounded to bf16 once.
// Constants: those of cache_codes.cuh, BITS below 16; ROTATE, whether Had is between; HALF, pairs of channels that turn
// where keys lack their mean, else 0.
#pragma once
#include "prefill_tile.cuh"

/// A lane's channels of a token's codes: 8 h + 2 t and the next one, for h < D / 8.
__device__ __forceinline__ void token_pairs(const uint8_t* token, uint32_t (&pairs)[D / 8]) {
  // Eights of channels in a stripe.
  constexpr int kEights = D / 8 / kStripes;
#pragma unroll
  for (int b = 0; b < kEights; b++) {
    uint32_t some[kStripes];
    unpack(*reinterpret_cast<const uint16_t*>(token + 8 * b + threadIdx.x % 4 * 2), some);
#pragma unroll
    for (int s = 0; s < kStripes; s++) pairs[b + s * kEights] = some[s];
  }
}

/// Which slots of the page at `position` are sinks, a bit each.
__device__ __forceinline__ uint64_t gone(const int* sinks, int position) {
  uint64_t found = 0;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int at = sinks[threadIdx.x % kWarp + half * kWarp] - position;
    uint32_t here = __ballot_sync(kAllLanes, at >= 0 && at < kPageTokens);
    for (; here != 0; here &= here - 1) found |= 1ull << __shfl_sync(kAllLanes, at, __ffs(here) - 1);
  }
  return found;
}

/// 1 and -1 of the Hadamard matrix of 16: columns 8 n + lane / 4, the rows that an operand of tensor cores has of it.
__device__ __forceinline__ void signs(int n, uint32_t (&pairs)[2]) {
  int column = 8 * n + threadIdx.x % kWarp / 4, row = threadIdx.x % 4 * 2;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    uint32_t low = __popc(column & (row + 8 * i)) & 1, high = __popc(column & (row + 8 * i + 1)) & 1;
    pairs[i] = 0x3f803f80u | low << 15 | high << 31;
  }
}

/// What a key lacks: the mean at the page's first position [D], in shared memory, turned by the slot; inner
/// [64, HALF, 2] are cosines and sines. Of channels `channel` and the next one, both of the same eight.
__device__ __forceinline__ void add_mean(const float* mean, const float* inner, int slot, int channel, float (&x)[2]) {
  constexpr int kHalf = HALF > 0 ? HALF : 1;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    int c = channel + i, j = c % kHalf;
    if (c >= 2 * kHalf) {
      x[i] += mean[c];
    } else {
      Vector<float, 2> turn = *reinterpret_cast<const Vector<float, 2>*>(inner + (slot * kHalf + j) * 2);
      float cosine = turn.at[0], sine = turn.at[1], a = mean[j], b = mean[j + kHalf];
      x[i] += c < kHalf ? a * cosine - b * sine : b * cosine + a * sine;
    }
  }
}

/// The mean [D] at the first position of a page, whose cosines and sines are turns [HALF, 2].
__device__ __forceinline__ void turn_mean(const float* mean, const float* turns, float (&to)[D]) {
  for (int c = threadIdx.x; c < D; c += kThreads) {
    float x = mean[c];
    if (c < 2 * HALF) {
      constexpr int kHalf = HALF > 0 ? HALF : 1;
      int j = c % kHalf;
      float cosine = turns[2 * j], sine = turns[2 * j + 1], a = mean[j], b = mean[j + kHalf];
      x = c < kHalf ? a * cosine - b * sine : b * cosine + a * sine;
    }
    to[c] = x;
  }
}

/// Keys or values of a page from `unit`, as they lie packed; `gone` are slots that become zeros.
template <bool keys>
__device__ __forceinline__ void restore(const uint8_t* unit, uint64_t gone, const float* mean, const float* inner,
                                        bf16 (&to)[kPageTokens][kPitch]) {
  constexpr bool kMean = keys && HALF > 0;
  int lane = threadIdx.x % kWarp, t = lane % 4, first = threadIdx.x / kWarp * 16 + lane / 4;
  uint32_t pairs[2][D / 8];
  float scale[2], zero[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int slot = first + 8 * half;
    const uint8_t* scales = unit + kPageTokens * kTokenBytes;
    token_pairs(unit + slot * kTokenBytes, pairs[half]);
    scale[half] = scale_of(load_one<kScaleBytes>(scales + slot * kScaleBytes), 0);
    zero[half] = ZERO == 0 ? 0.0f : zero_of(load_one<kZeroBytes>(scales + kPageTokens * kScaleBytes + slot * kZeroBytes), 0);
  }
#pragma unroll
  for (int n = 0; n < 2; n++) {
    float y[D / 16][4];
#if ROTATE
    uint32_t sign[2];
    signs(n, sign);
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
#pragma unroll
      for (int i = 0; i < 4; i++) y[k][i] = 0;
      mma_bf16(y[k], {pairs[0][2 * k], pairs[1][2 * k], pairs[0][2 * k + 1], pairs[1][2 * k + 1]}, sign);
    }
#pragma unroll
    for (int step = 1; step < D / 16; step *= 2) {
#pragma unroll
      for (int k = 0; k < D / 16; k++) {
        if ((k & step) != 0) continue;
#pragma unroll
        for (int i = 0; i < 4; i++) {
          float a = y[k][i], b = y[k + step][i];
          y[k][i] = a + b;
          y[k + step][i] = a - b;
        }
      }
    }
#else
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        uint32_t pair = pairs[i / 2][2 * k + n];
        y[k][i] = __uint_as_float(i % 2 ? pair & 0xffff0000u : pair << 16) - zero[i / 2];
      }
    }
#endif
    // The root of 1 / D.
    constexpr float kRoot = D == 128 ? 0.08838834764831843f : D == 64 ? 0.125f : 0.17677669529663687f;
#pragma unroll
    for (int k = 0; k < D / 16; k++) {
      int channel = 16 * k + 8 * n + 2 * t;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int slot = first + 8 * half;
        float x[2] = {y[k][2 * half], y[k][2 * half + 1]};
        if (ROTATE && channel == 0) x[0] -= zero[half] * D;
        x[0] *= ROTATE ? scale[half] * kRoot : scale[half];
        x[1] *= ROTATE ? scale[half] * kRoot : scale[half];
        if (kMean) add_mean(mean, inner, slot, channel, x);
        // What nobody sees may be any scale.
        bool present = !(gone >> slot & 1);
        *reinterpret_cast<uint32_t*>(&to[slot][channel]) = present ? pack_bf16(x[0], x[1]) : 0u;
      }
    }
  }
}

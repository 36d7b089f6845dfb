// The pages that a block of prompts goes through, and how they come to shared memory.
// Constants: those of cache_codes.cuh.
#pragma once
#include "prefill_tile.cuh"
#if TURN > 0
#include "cache_group.cuh"
#endif

/// The pages that a block goes through: packed ones, those of bf16 from `first` on, one of sinks.
struct Pages {
  int packed, first, exact, sinks;

  __device__ __forceinline__ int count() const { return packed + exact + sinks; }
  __device__ __forceinline__ Kind kind(int i) const {
    return i < packed ? kPacked : i < packed + exact ? kExact : kSinks;
  }
  /// Of the sequence.
  __device__ __forceinline__ int number(int i) const { return i < packed ? i : first + i - packed; }
  /// In which of two places page i is attended to.
  __device__ __forceinline__ int place(int i, int begin) const {
    return i < packed ? 0 : 1 ^ (i - max(packed, begin)) & 1;
  }
};

/// Starts to copy a page of bf16: the slots [from, to), zeros in the others.
__device__ __forceinline__ void fetch(const bf16* keys, int from, int to, Page& page) {
  constexpr int kVectors = D / 8;
#pragma unroll 4
  for (int unit = threadIdx.x; unit < kPageTokens * kVectors; unit += kThreads) {
    int token = unit / kVectors, channel = unit % kVectors * 8;
    bool present = token >= from && token < to;
    const bf16* at = keys + token * D + channel;
    copy_async(&page.k[token][channel], at, present);
    copy_async(&page.v[token][channel], at + kPageTokens * D, present);
  }
}

/// Starts to copy a packed page as it lies: the values, then the keys unless they come from all heads.
__device__ __forceinline__ void fetch_packed(const uint8_t* keys, const uint8_t* values, uint8_t* to) {
  for (int unit = threadIdx.x; unit < kUnitBytes / (TURN > 0 ? 16 : 8); unit += kThreads) {
    int byte = unit % (kUnitBytes / 16) * 16;
    bool of_values = unit < kUnitBytes / 16;
    copy_async(to + unit * 16, (of_values ? values : keys) + byte, true);
  }
}

#if TURN > 0
/// Turns keys of bf16, which came before the rotary embedding, to their positions below `limit`; a warp has 16 of them.
__device__ __forceinline__ void turn_keys(const Seen& seen, const float* turns, const float* inner, int limit,
                                          Page& page) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  for (int slot = warp * 16; slot < warp * 16 + 16; slot++) {
    int position = seen.kind == kSinks ? seen.sinks[slot] : seen.position + slot;
    float x[kLane];
    load(&page.k[slot][lane * kLane], x);
    // Places that no sink has are zeros.
    turn_key(x, position < limit ? position : 0, turns, inner);
    store(&page.k[slot][lane * kLane], x);
  }
}
#endif

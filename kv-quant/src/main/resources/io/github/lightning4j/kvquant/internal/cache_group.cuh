// Keys that are stored before the rotary embedding, as attention reads them: bf16, turned to their positions.
//
//   stored[i] = rotated[permutation[i]],   rotated = Had(GROUPED D) k  for each GROUPED neighbouring heads
//
// Since Had(GROUPED D) = Had(GROUPED) x Had(D), head h of its group is Had(D) of the sum over g of +-x_g / sqrt(GROUPED),
// x_g the D rotated channels at head g and the sign that of Had(GROUPED) at (h, g): a warp gathers GROUPED D channels of
// a token and transforms D. Codes of four tokens at a time come to shared memory whole, so that channels, which the
// permutation has put anywhere, are bytes there; lane i has scale and zero point of group i.
// Constants: those of cache_codes.cuh; GROUPED, heads that a rotation mixes, 0 where nothing is quantized.
#pragma once
#include "cache_codes.cuh"
#include "hadamard.cuh"

constexpr int kLane = D / kWarp;
constexpr int kGathered = 4;
// Bytes of a token's codes at most, and 16 more, which puts tokens into other banks.
constexpr int kKeyRow = 512 + 16;

/// Turns a key, of which the lane has channels kLane lane ..., to a position: turns and inner [.., TURN, 2] are cosines
/// and sines of first positions of pages and of those within a page.
__device__ __forceinline__ void turn_key(float (&x)[kLane], int position, const float* turns, const float* inner) {
  int lane = threadIdx.x % kWarp;
  turns += int64_t(position / kPageTokens) * 2 * TURN;
  inner += position % kPageTokens * 2 * TURN;
#pragma unroll
  for (int i = 0; i < kLane; i++) {
    int channel = lane * kLane + i, j = channel % TURN;
    bool first = channel < TURN;
    float other = __shfl_sync(kAllLanes, x[i], (first ? lane + TURN / kLane : lane - TURN / kLane) % kWarp);
    if (channel >= 2 * TURN) continue;
    Vector<float, 2> page = *reinterpret_cast<const Vector<float, 2>*>(turns + 2 * j);
    Vector<float, 2> slot = *reinterpret_cast<const Vector<float, 2>*>(inner + 2 * j);
    float cosine = page.at[0] * slot.at[0] - page.at[1] * slot.at[1];
    float sine = page.at[1] * slot.at[0] + page.at[0] * slot.at[1];
    x[i] = first ? x[i] * cosine - other * sine : x[i] * cosine + other * sine;
  }
}

#if GROUPED > 0
/// Where channels of a layer's key lie: places [heads D] are, of the rotated channels, byte of a token's codes and bit.
struct Gather {
  const int* places;
  const float* turns;
  const float* inner;
  int head, heads;
};

/// Restores the keys of a packed page in slots [slot, slot + count) for one head, a warp alone; to [count] rows `pitch`
/// apart. rows has kGathered kKeyRow bytes of shared memory that are the warp's own.
__device__ __forceinline__ void restore_keys(const Gather& gather, const uint8_t* page, int position, int slot,
                                             int count, uint8_t* rows, bf16* to, int pitch) {
  constexpr int kMask = (1 << BITS % 16) - 1;
  int lane = threadIdx.x % kWarp, groups = gather.heads * D / KEY_GROUP;
  constexpr int kVectors = kGroupTokenBytes / 8;
  const int* places = gather.places + gather.head / GROUPED * GROUPED * D + lane * kLane;
  for (int first = slot; first < slot + count; first += kGathered) {
    // Nobody reads the rows of before any more.
    __syncwarp();
    for (int unit = lane; unit < kGathered * groups * kVectors; unit += kWarp) {
      int token = unit / (groups * kVectors), byte = unit % (groups * kVectors) * 8;
      int64_t from = int64_t(byte / kGroupTokenBytes) * kGroupBytes + (first + token) * kGroupTokenBytes;
      *reinterpret_cast<Vector<uint32_t, 2>*>(rows + token * kKeyRow + byte) =
          *reinterpret_cast<const Vector<uint32_t, 2>*>(page + from + byte % kGroupTokenBytes);
    }
    __syncwarp();
    for (int token = first; token < first + kGathered; token++) {
      const uint8_t* row = rows + (token - first) * kKeyRow;
      const uint8_t* scales = page + min(lane, groups - 1) * kGroupBytes + kPageTokens * kGroupTokenBytes;
      float scale = scale_of(load_one<kScaleBytes>(scales + token * kScaleBytes), 0);
      float zero = zero_of(load_one<kZeroBytes>(scales + kPageTokens * kScaleBytes + token * kZeroBytes), 0) - kBias;
      float x[kLane] = {};
#pragma unroll
      for (int g = 0; g < GROUPED; g++) {
        float sign = __popc(gather.head % GROUPED & g) & 1 ? -1.0f : 1.0f;
#pragma unroll
        for (int i = 0; i < kLane; i++) {
          int place = places[g * D + i], group = (place >> 3) / kGroupTokenBytes;
          float code = float(row[place >> 3] >> (place & 7) & kMask);
          float s = __shfl_sync(kAllLanes, scale, group), z = __shfl_sync(kAllLanes, zero, group);
          x[i] += sign * s * (code - z);
        }
      }
      hadamard(x);
      constexpr float kRoot = GROUPED == 1    ? 1.0f
                              : GROUPED == 2  ? 0.70710678118654752f
                              : GROUPED == 4  ? 0.5f
                              : GROUPED == 8  ? 0.35355339059327376f
                                              : 0.25f;
#pragma unroll
      for (int i = 0; i < kLane; i++) x[i] *= kRoot;
      turn_key(x, position + token, gather.turns, gather.inner);
      store(to + (token - slot) * pitch + lane * kLane, x);
    }
  }
}
#endif

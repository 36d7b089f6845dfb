// Tokens that leave the window of recent ones go, once, from pages of bf16 to packed pages; sinks to a page of their
// own.
//
// A warp takes one token's key or value of one kv head. Stored is, rounded to bf16 and then quantized as one group,
//   value  Had v      key  Had (k - R_s m)     Had and the mean m only where the format has them
// R_s m is formed in double. Packed pages have the keys of all kv heads and then the values, each as codes [64, bytes],
// scales [64], zero points [64]; codes are striped as CodeLayout.java says. A key or value that is not finite has no
// codes: the sequence is counted as spoiled, and attention over it gives NaN.
// Keys that are rotated over heads are left to cache_age_group.cu, but for sinks.
// Constants: D, 32, 64 or 128; those of quantizer.cuh; ROTATE; HALF, pairs of channels that turn where keys lack their
// mean, else 0; GROUPED, heads that a rotation mixes, else 0; KEY_GROUP, channels of a key that are one group.
#include "hadamard.cuh"
#include "quantizer.cuh"

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kPageTokens = 64;
constexpr int kLane = D / kWarp;
constexpr int kTokenBytes = D * BITS / 8;
constexpr int kStripes = 8 / BITS;
constexpr int kScaleBytes = SCALE == 1 ? 2 : 1;
constexpr int kZeroBytes = ZERO == 0 ? 0 : ZERO == 3 ? 2 : 1;
constexpr int kUnitBytes = kPageTokens * (kTokenBytes + kScaleBytes + kZeroBytes);
constexpr int kGroupBytes = kPageTokens * (KEY_GROUP * BITS / 8 + kScaleBytes + kZeroBytes);

__device__ __forceinline__ int left(int length, int window, int flush) {
  return max(0, length - window) / flush * flush;
}

/// Channel `channel` of a head's mean key, turned to a position.
__device__ __forceinline__ float turned(const float* mean, const float* frequencies, int channel, int position) {
  if (channel >= 2 * HALF) return mean[channel];
  int j = channel % HALF;
  double sine, cosine;
  sincos(position * double(frequencies[j]), &sine, &cosine);
  double a = mean[j], b = mean[j + HALF];
  return float(channel < HALF ? a * cosine - b * sine : b * cosine + a * sine);
}

__device__ __forceinline__ void put(uint8_t* to, int bytes, int encoded) {
  for (int i = 0; i < bytes; i++) to[i] = uint8_t(encoded >> 8 * i);
}

/// Block (any, kv head, piece): piece i takes sequences[i] from starts[i] on by offsets[i + 1] - offsets[i] tokens, by
/// one where there are no offsets. sink_positions [sequences, 64] ascend; mean [kv heads, D].
extern "C" __global__ void __launch_bounds__(kThreads)
    cache_age(const bf16* recent, int64_t recent_bytes, const int* recent_table, uint8_t* aged, int64_t aged_bytes,
              const int* aged_table, int pages_each, bf16* sinks, const int* sink_positions, int* spoiled,
              const int* sequences, const int* starts, const int* offsets, int window, int flush, double key_clip,
              double value_clip, const float* mean, const float* frequencies) {
  __shared__ uint8_t all_codes[kWarps][D];
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, head = blockIdx.y, heads = gridDim.y, piece = blockIdx.z;
  int sequence = sequences[piece];
  if (sequence < 0) return;
  int start = starts[piece], count = offsets != nullptr ? offsets[piece + 1] - offsets[piece] : 1;
  int from = left(start, window, flush), to = left(start + count, window, flush);
  uint8_t* codes = all_codes[warp];
  for (int unit = blockIdx.x * kWarps + warp; unit < 2 * (to - from); unit += gridDim.x * kWarps) {
    int token = from + unit / 2, side = unit % 2, at = token / kPageTokens, slot = token % kPageTokens;
    int source = at < pages_each ? recent_table[int64_t(sequence) * pages_each + at] : -1;
    if (source < 0) continue;
    int64_t block = int64_t(2 * head + side) * kPageTokens * D + lane * kLane;
    const bf16* row = recent + source * (recent_bytes / 2) + block + slot * D;
    float x[kLane];
    load(row, x);
    if (sink_positions != nullptr) {
      const int* own = sink_positions + sequence * 64 + lane;
      uint32_t low = __ballot_sync(kAllLanes, own[0] == token), high = __ballot_sync(kAllLanes, own[kWarp] == token);
      if ((low | high) != 0) {
        int sink = low != 0 ? __ffs(low) - 1 : kWarp + __ffs(high) - 1;
        store(sinks + sequence * (recent_bytes / 2) + block + sink * D, x);
        continue;
      }
    }
    if (GROUPED > 0 && side == 0) continue;
    int target = aged_table[int64_t(sequence) * pages_each + at];
    bool finite = target >= 0;
#pragma unroll
    for (int i = 0; i < kLane; i++) finite = finite && x[i] - x[i] == 0;
    if (!__all_sync(kAllLanes, finite)) {
      if (lane == 0) atomicAdd(spoiled + sequence, 1);
      continue;
    }
    if (HALF > 0 && side == 0) {
#pragma unroll
      for (int i = 0; i < kLane; i++) x[i] -= turned(mean + head * D, frequencies, lane * kLane + i, token);
    }
    if (ROTATE) hadamard(x);
#pragma unroll
    for (int i = 0; i < kLane; i++) x[i] = widen(narrow<bf16>(x[i]));
    uint8_t own[kLane];
    int scale, zero;
    quantize(x, side == 0 ? key_clip : value_clip, own, scale, zero);
#pragma unroll
    for (int i = 0; i < kLane; i++) codes[lane * kLane + i] = own[i];
    __syncwarp();
    int64_t unit_at = side * int64_t(heads) * D / KEY_GROUP * kGroupBytes + int64_t(head) * kUnitBytes;
    uint8_t* packed = aged + target * aged_bytes + unit_at;
    for (int byte = lane; byte < kTokenBytes; byte += kWarp) {
      int bits = 0;
#pragma unroll
      for (int stripe = 0; stripe < kStripes; stripe++) bits |= codes[byte + stripe * kTokenBytes] << BITS * stripe;
      packed[slot * kTokenBytes + byte] = uint8_t(bits);
    }
    // The next token's codes go where these are read.
    __syncwarp();
    if (lane == 0) {
      put(packed + kPageTokens * kTokenBytes + slot * kScaleBytes, kScaleBytes, scale);
      put(packed + kPageTokens * (kTokenBytes + kScaleBytes) + slot * kZeroBytes, kZeroBytes, zero);
    }
  }
}

// Keys that leave the window of recent ones where they are stored before the rotary embedding, rotated over heads:
//
//   stored[i] = rotated[permutation[i]],   rotated = Had(M) k  for each M neighbouring channels
//
// quantized in groups of KEY_GROUP stored channels, to the bit as the reference does it. A block takes a token: its warps
// rotate blocks of M channels to shared memory, then quantize groups. Values and sinks are cache_age.cu's; so is the
// story of pages and of keys that are not finite.
// Constants: D, 32, 64 or 128; M, 32 to 512; KEY_GROUP, 32, 64 or 128; those of quantizer.cuh.
#include "hadamard.cuh"
#include "quantizer.cuh"

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kPageTokens = 64;
constexpr int kLane = M / kWarp;
constexpr int kGroupLane = KEY_GROUP / kWarp;
constexpr int kStripes = 8 / BITS;
constexpr int kTokenBytes = KEY_GROUP / kStripes;
constexpr int kScaleBytes = SCALE == 1 ? 2 : 1;
constexpr int kZeroBytes = ZERO == 0 ? 0 : ZERO == 3 ? 2 : 1;
constexpr int kGroupBytes = kPageTokens * (kTokenBytes + kScaleBytes + kZeroBytes);

__device__ __forceinline__ int left(int length, int window, int flush) {
  return max(0, length - window) / flush * flush;
}

__device__ __forceinline__ void put(uint8_t* to, int bytes, int encoded) {
  for (int i = 0; i < bytes; i++) to[i] = uint8_t(encoded >> 8 * i);
}

/// Block (any, 1, piece), pieces as cache_age.cu has them; permutation [heads D]; heads D floats of shared memory.
extern "C" __global__ void __launch_bounds__(kThreads)
    cache_age_group(const bf16* recent, int64_t recent_bytes, const int* recent_table, uint8_t* aged, int64_t aged_bytes,
                    const int* aged_table, int pages_each, const int* sink_positions, int* spoiled,
                    const int* sequences, const int* starts, const int* offsets, int window, int flush,
                    double key_clip, const int* permutation, int heads) {
  L4J_DYNAMIC_SHARED(memory);
  __shared__ uint8_t all_codes[kWarps][KEY_GROUP];
  __shared__ int all_finite[kWarps];
  float* rotated = reinterpret_cast<float*>(memory);
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, piece = blockIdx.z;
  int sequence = sequences[piece];
  if (sequence < 0) return;
  int start = starts[piece], count = offsets != nullptr ? offsets[piece + 1] - offsets[piece] : 1;
  int from = left(start, window, flush), to = left(start + count, window, flush);
  uint8_t* codes = all_codes[warp];
  for (int token = from + int(blockIdx.x); token < to; token += gridDim.x) {
    int at = token / kPageTokens, slot = token % kPageTokens;
    int source = at < pages_each ? recent_table[int64_t(sequence) * pages_each + at] : -1;
    int target = at < pages_each ? aged_table[int64_t(sequence) * pages_each + at] : -1;
    if (source < 0) continue;
    if (sink_positions != nullptr) {
      const int* own = sink_positions + sequence * 64 + lane;
      if (__any_sync(kAllLanes, own[0] == token || own[kWarp] == token)) continue;
    }
    bool finite = target >= 0;
    for (int block = warp; block < heads * D / M; block += kWarps) {
      int channel = block * M + lane * kLane;
      const bf16* row = recent + source * (recent_bytes / 2) + int64_t(2 * (channel / D)) * kPageTokens * D;
      float x[kLane];
      load(row + slot * D + channel % D, x);
#pragma unroll
      for (int i = 0; i < kLane; i++) finite = finite && x[i] - x[i] == 0;
      hadamard(x);
#pragma unroll
      for (int i = 0; i < kLane; i++) rotated[channel + i] = x[i];
    }
    finite = __all_sync(kAllLanes, finite);
    if (lane == 0) all_finite[warp] = finite;
    __syncthreads();
    for (int w = 0; w < kWarps; w++) finite = finite && all_finite[w];
    if (!finite && threadIdx.x == 0) atomicAdd(spoiled + sequence, 1);
    for (int group = warp; finite && group < heads * D / KEY_GROUP; group += kWarps) {
      float x[kGroupLane];
#pragma unroll
      for (int i = 0; i < kGroupLane; i++) x[i] = rotated[permutation[group * KEY_GROUP + lane * kGroupLane + i]];
      uint8_t own[kGroupLane];
      int scale, zero;
      quantize(x, key_clip, own, scale, zero);
#pragma unroll
      for (int i = 0; i < kGroupLane; i++) codes[lane * kGroupLane + i] = own[i];
      __syncwarp();
      uint8_t* packed = aged + target * aged_bytes + int64_t(group) * kGroupBytes;
      for (int byte = lane; byte < kTokenBytes; byte += kWarp) {
        int bits = 0;
#pragma unroll
        for (int stripe = 0; stripe < kStripes; stripe++) bits |= codes[byte + stripe * kTokenBytes] << BITS * stripe;
        packed[slot * kTokenBytes + byte] = uint8_t(bits);
      }
      // The next group's codes go where these are read.
      __syncwarp();
      if (lane == 0) {
        put(packed + kPageTokens * kTokenBytes + slot * kScaleBytes, kScaleBytes, scale);
        put(packed + kPageTokens * (kTokenBytes + kScaleBytes) + slot * kZeroBytes, kZeroBytes, zero);
      }
    }
    // The next token goes where this one is read.
    __syncthreads();
  }
}

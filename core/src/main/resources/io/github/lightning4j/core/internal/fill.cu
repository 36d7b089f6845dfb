// Numbers that seem to be random, made where they are needed: what a hash of seed and place says, so the same seed gives
// the same bits.
// Bound by memory; a thread has 16 bytes a turn.
// Constants: KIND 0 bits, 1 pairs of bf16, uniform in [-limit, limit), 2 the same word throughout.
#include "core_cuda.cuh"

constexpr int kThreads = 256;

/// 32 bits of the place i, by two rounds of multiply and shift over 64 bits.
__device__ __forceinline__ uint32_t hash(uint64_t seed, uint64_t i) {
  uint64_t x = (i + seed) * 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return uint32_t(x >> 32);
}

__device__ __forceinline__ uint32_t word(uint64_t seed, uint64_t i, float limit, uint32_t same) {
  if (KIND == 2) return same;
  uint32_t bits = hash(seed, i);
  if (KIND == 0) return bits;
  float low = float(int(bits & 0xffff) - 32768) * (1.0f / 32768);
  float high = float(int(bits >> 16) - 32768) * (1.0f / 32768);
  return pack_bf16(low * limit, high * limit);
}

/// Fills `words` words of 32 bits at a multiple of 16 bytes.
extern "C" __global__ void __launch_bounds__(kThreads)
    fill(uint32_t* out, int64_t words, int64_t seed, float limit, uint32_t same) {
  int64_t step = int64_t(gridDim.x) * kThreads * 4;
  for (int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * 4; i < words; i += step) {
    if (i + 4 <= words) {
      Vector<uint32_t, 4> four;
#pragma unroll
      for (int j = 0; j < 4; j++) four.at[j] = word(seed, i + j, limit, same);
      *reinterpret_cast<Vector<uint32_t, 4>*>(out + i) = four;
    } else {
      for (int64_t j = i; j < words; j++) out[j] = word(seed, j, limit, same);
    }
  }
}

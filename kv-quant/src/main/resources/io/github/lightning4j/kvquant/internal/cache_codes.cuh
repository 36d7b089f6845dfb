// How tokens of a page become operands of tensor cores.
//
// A warp attends with eight query heads to 16 tokens at a time: S [8 heads, 16] = Q K^T, then O^T [D, 8 heads] =
// V^T P^T. What a sum runs over may be in any order, and so may rows, as long as both operands agree. The orders here
// are those in which a lane needs only bytes that lie side by side: keys and values go from memory to registers by
// loads of up to 16 bytes, without shared memory, shuffles or transposition.
//
// Lane l = 4 g + t has of the keys a quarter, t, of token g of each eight; of the values an eighth, g, of tokens
// 2 t, 2 t + 1, 2 t + 8, 2 t + 9. Codes are striped as CodeLayout.java says.
// Constants: D, 32, 64 or 128 channels of a head; BITS of an element, 16 for bf16; LLOYD_MAX, for 2 bits; SCALE 0 for
// log-scale bytes, 1 for fp16; ZERO 0 none, 1 whole and 2 eighths in a byte, 3 fp16; TURN, pairs of channels that turn
// where keys are stored before the rotary embedding, else 0: these come as bf16 from cache_group.cuh, and only values
// are packed by heads; KEY_GROUP, channels of a key that are one group.
#pragma once
#include "core_cuda.cuh"

constexpr int kPageTokens = 64;
constexpr int kTokenBytes = D * BITS / 8;
constexpr int kKeyBits = TURN > 0 ? 16 : BITS;
constexpr int kKeyBytes = D * kKeyBits / 32;
constexpr int kValueBytes = kTokenBytes / 8;
constexpr int kKeyWords = (kKeyBytes + 3) / 4;
constexpr int kValueWords = (kValueBytes + 3) / 4;
constexpr int kStripes = BITS == 16 ? 1 : 8 / BITS;
// Pairs of channels of a key, and channels of a value, that a lane has.
constexpr int kKeyPairs = D / 8;
constexpr int kValueChannels = D / 8;
// What operands are above codes.
constexpr float kBias = BITS == 4 ? 128.0f : 0.0f;
constexpr int kScaleBytes = BITS == 16 ? 0 : SCALE == 1 ? 2 : 1;
constexpr int kZeroBytes = ZERO == 0 ? 0 : ZERO == 3 ? 2 : 1;
constexpr int kUnitBytes = kPageTokens * (kTokenBytes + kScaleBytes + kZeroBytes);
// Of a group of keys.
constexpr int kGroupTokenBytes = KEY_GROUP * BITS / 8;
constexpr int kGroupBytes = kPageTokens * (kGroupTokenBytes + kScaleBytes + kZeroBytes);

/// Bytes of the keys of a packed page, behind which its values lie.
__device__ __forceinline__ int64_t keys_bytes(int kv_heads) { return int64_t(kv_heads) * D / KEY_GROUP * kGroupBytes; }

template <int bytes>
__device__ __forceinline__ uint32_t load_one(const uint8_t* from) {
  if constexpr (bytes == 2) return *reinterpret_cast<const uint16_t*>(from);
  return *from;
}

/// The n-th of `bytes` bytes that one of `lanes` lanes has of a token: 16 at a time where there are more.
template <int lanes, int bytes>
__device__ __forceinline__ int byte_of(int n, int lane) {
  return bytes > 16 ? (lane + lanes * (n / 16)) * 16 + n % 16 : lane * bytes + n;
}

/// The first channel of a lane's i-th pair of a key; the other is the next one.
__device__ __forceinline__ int key_channel(int i, int t) {
  if (kKeyBits == 16) return byte_of<4, kKeyBytes>(4 * i, t) / 2;
  return i % kStripes * (D / kStripes) + byte_of<4, kKeyBytes>(i / kStripes * 2, t);
}

/// A lane's c-th channel of a value.
__device__ __forceinline__ int value_channel(int c, int g) {
  if (BITS == 16) return byte_of<8, kValueBytes>(2 * c, g) / 2;
  return c % kStripes * (D / kStripes) + byte_of<8, kValueBytes>(c / kStripes, g);
}

/// A lane's bytes of a token.
template <int lanes, int bytes>
__device__ __forceinline__ void load_bytes(const uint8_t* token, int lane, uint32_t (&to)[(bytes + 3) / 4]) {
  if constexpr (bytes >= 4) {
    constexpr int kWords = bytes > 16 ? 4 : bytes / 4;
#pragma unroll
    for (int i = 0; i < bytes / 4; i += kWords) {
      const uint8_t* from = token + byte_of<lanes, bytes>(4 * i, lane);
      Vector<uint32_t, kWords> all = *reinterpret_cast<const Vector<uint32_t, kWords>*>(from);
#pragma unroll
      for (int j = 0; j < kWords; j++) to[i + j] = all.at[j];
    }
  } else if constexpr (bytes == 2) {
    to[0] = *reinterpret_cast<const uint16_t*>(token + 2 * lane);
  } else {
    to[0] = token[lane];
  }
}

/// Two bytes of codes to a pair of bf16 for each stripe, the lower byte's code first.
__device__ __forceinline__ void unpack(uint32_t bytes, uint32_t (&pairs)[kStripes]) {
#if BITS == 2
  // The bf16 of the four levels, their lower and their upper bytes: 0 to 3, or those of LloydMaxGrid.java.
  constexpr uint32_t kLow = LLOYD_MAX ? 0xc1e8e8c1u : 0x40008000u;
  constexpr uint32_t kHigh = LLOYD_MAX ? 0x3f3ebebfu : 0x40403f00u;
#pragma unroll
  for (int s = 0; s < 2; s++) {
    uint32_t codes = bytes >> 2 * s & 0x3333u;
    uint32_t low = __byte_perm(kLow, 0, codes), high = __byte_perm(kHigh, 0, codes);
    pairs[s] = __byte_perm(low, high, 0x6240);
    pairs[s + 2] = __byte_perm(low, high, 0x7351);
  }
#elif BITS == 4
  uint32_t apart = __byte_perm(bytes, 0, 0x4140);
  pairs[0] = (apart & 0x000f000fu) | 0x43004300u;
  pairs[1] = (apart >> 4 & 0x000f000fu) | 0x43004300u;
#elif BITS == 8
  float low = __uint_as_float(__byte_perm(bytes, 0x4b000000u, 0x7440)) - 8388608.0f;
  float high = __uint_as_float(__byte_perm(bytes, 0x4b000000u, 0x7441)) - 8388608.0f;
  pairs[0] = pack_bf16(low, high);
#endif
}

/// All pairs of a lane's part of a key.
__device__ __forceinline__ void key_pairs(const uint32_t (&words)[kKeyWords], uint32_t (&pairs)[kKeyPairs]) {
  if constexpr (kKeyBits == 16) {
#pragma unroll
    for (int i = 0; i < kKeyPairs; i++) pairs[i] = words[i];
  } else {
#pragma unroll
    for (int i = 0; i < kKeyPairs / kStripes; i++) {
      uint32_t some[kStripes];
      unpack(words[i / 2] >> i % 2 * 16, some);
#pragma unroll
      for (int s = 0; s < kStripes; s++) pairs[i * kStripes + s] = some[s];
    }
  }
}

/// A lane's channels of two tokens, the first token's element first.
__device__ __forceinline__ void value_pairs(const uint32_t (&a)[kValueWords], const uint32_t (&b)[kValueWords],
                                            uint32_t (&pairs)[kValueChannels]) {
#pragma unroll
  for (int i = 0; i < kValueChannels / kStripes; i++) {
#if BITS == 16
    pairs[i] = __byte_perm(a[i / 2], b[i / 2], i % 2 ? 0x7632 : 0x5410);
#else
    uint32_t some[kStripes];
    unpack(__byte_perm(a[i / 4], b[i / 4], i % 4 | (i % 4 + 4) << 4), some);
#pragma unroll
    for (int s = 0; s < kStripes; s++) pairs[i * kStripes + s] = some[s];
#endif
  }
}

__device__ __forceinline__ float scale_of(uint32_t two, int i) {
  if (SCALE == 1) return widen(f16{uint16_t(two >> 16 * i)});
  return exp2f(float(int(two >> 8 * i & 0xff) - 160) * 0.125f);
}

/// The zero point in steps, above what operands are above codes.
__device__ __forceinline__ float zero_of(uint32_t two, int i) {
  constexpr float kMiddle = (BITS < 16 ? float(1 << (BITS - 1) % 16) : 0.0f) + kBias;
  if (ZERO == 0) return 0;
  if (ZERO == 3) return kMiddle + widen(f16{uint16_t(two >> 16 * i)});
  return kMiddle + float(static_cast<signed char>(two >> 8 * i)) * (ZERO == 2 ? 0.125f : 1.0f);
}

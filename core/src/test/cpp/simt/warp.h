// Collectives of a warp: each lane brings a request, and the last one to come answers all.
#pragma once
#include <utility>

inline void __syncwarp(unsigned mask = 0xffffffffu) {
  simt_collective("waits at __syncwarp", [](void**, unsigned) {}, mask, nullptr);
}

namespace simt {

struct Vote {
  bool yes;
  unsigned result;
};

inline unsigned ballot(const char* operation, unsigned mask, bool yes) {
  Vote own{yes, 0};
  simt_collective(
      operation,
      [](void** requests, unsigned mask) {
        unsigned result = 0;
        for (unsigned lane = 0; lane < 32; lane++) {
          if (mask >> lane & 1) result |= unsigned(static_cast<Vote*>(requests[lane])->yes) << lane;
        }
        for (unsigned lane = 0; lane < 32; lane++) {
          if (mask >> lane & 1) static_cast<Vote*>(requests[lane])->result = result;
        }
      },
      mask, &own);
  return own.result;
}

struct Shuffle {
  uint64_t value;
  unsigned source;
  uint64_t result;
};

template <class T>
T shuffle(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
  Shuffle own{0, source, 0};
  memcpy(&own.value, &value, sizeof value);
  simt_collective(
      "waits at a shuffle",
      [](void** requests, unsigned mask) {
        for (unsigned lane = 0; lane < 32; lane++) {
          if (!(mask >> lane & 1)) continue;
          Shuffle& to = *static_cast<Shuffle*>(requests[lane]);
          if (!(mask >> to.source & 1)) simt_fail("shuffle from lane %u, which mask %08x lacks", to.source, mask);
          to.result = static_cast<Shuffle*>(requests[to.source])->value;
        }
      },
      mask, &own);
  T result;
  memcpy(&result, &own.result, sizeof result);
  return result;
}

/// The first lane of the part of the warp that a lane shuffles in.
inline unsigned segment(unsigned lane, int width) { return lane / unsigned(width) * unsigned(width); }

}  // namespace simt

inline unsigned __ballot_sync(unsigned mask, int yes) { return simt::ballot("waits at __ballot_sync", mask, yes); }
inline int __any_sync(unsigned mask, int yes) { return simt::ballot("waits at __any_sync", mask, yes) != 0; }
inline int __all_sync(unsigned mask, int yes) { return simt::ballot("waits at __all_sync", mask, yes) == mask; }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return simt::shuffle(mask, value, simt::segment(simt_self->lane, width) + (unsigned(source) & unsigned(width - 1)));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = 32) {
  unsigned lane = simt_self->lane, source = lane ^ unsigned(flip);
  return simt::shuffle(mask, value, source < simt::segment(lane, width) + unsigned(width) ? source : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  unsigned lane = simt_self->lane, source = lane + by;
  return simt::shuffle(mask, value, source < simt::segment(lane, width) + unsigned(width) ? source : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  unsigned lane = simt_self->lane;
  return simt::shuffle(mask, value, lane >= simt::segment(lane, width) + by ? lane - by : lane);
}

// What core_cuda.cuh does by inline PTX on a GPU. All 32 lanes take part.
namespace simt {

inline float from_bf16(uint32_t bits) { return __uint_as_float(bits << 16); }

inline float from_f16(uint32_t bits) {
  _Float16 half;
  uint16_t low = uint16_t(bits);
  memcpy(&half, &low, sizeof half);
  return float(half);
}

inline uint16_t to_bf16(float x) {
  uint32_t bits = __float_as_uint(x);
  if (x != x) return 0x7fff;
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline uint16_t to_f16(float x) {
  _Float16 half = static_cast<_Float16>(x);
  uint16_t bits;
  memcpy(&bits, &half, sizeof bits);
  return bits;
}

inline uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
  uint16_t low = to_bf16(fmaf(from_bf16(a & 0xffff), from_bf16(b & 0xffff), from_bf16(c & 0xffff)));
  return low | uint32_t(to_bf16(fmaf(from_bf16(a >> 16), from_bf16(b >> 16), from_bf16(c >> 16)))) << 16;
}

struct Mma {
  float* d;
  const uint32_t *a, *b;
};

/// mma.m16n8k16: the fragments as the PTX manual lays them out, fp32 sums, each in the order of k. All columns of a row
/// go together, since most of what the emulation does is this.
template <float (*widen)(uint32_t)>
__attribute__((optimize("O3"), no_sanitize("undefined"))) void multiply(void** requests, unsigned) {
  float a[16][16], b[16][8], c[16][8];
  for (int lane = 0; lane < 32; lane++) {
    const Mma& own = *static_cast<Mma*>(requests[lane]);
    int group = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < 8; i++) {
      a[group + i / 2 % 2 * 8][pair + i / 4 * 8 + i % 2] = widen(own.a[i / 2] >> i % 2 * 16 & 0xffff);
    }
    for (int i = 0; i < 4; i++) {
      b[pair + i / 2 * 8 + i % 2][group] = widen(own.b[i / 2] >> i % 2 * 16 & 0xffff);
      c[group + i / 2 * 8][pair + i % 2] = own.d[i];
    }
  }
  for (int row = 0; row < 16; row++) {
    for (int k = 0; k < 16; k++) {
      for (int column = 0; column < 8; column++) c[row][column] += a[row][k] * b[k][column];
    }
  }
  for (int lane = 0; lane < 32; lane++) {
    float* d = static_cast<Mma*>(requests[lane])->d;
    for (int i = 0; i < 4; i++) d[i] = c[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
  }
}

template <float (*widen)(uint32_t)>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  Mma own{d, a, b};
  simt_collective("waits at mma", multiply<widen>, 0xffffffffu, &own);
}

inline void check_shared(const void* address, unsigned bytes) {
  const auto* p = static_cast<const unsigned char*>(address);
  const Block& b = *simt_block;
  bool dynamic = p >= b.dynamic_shared && p + bytes <= b.dynamic_shared + b.dynamic_bytes;
  bool fixed = p >= b.static_shared && p + bytes <= b.static_shared + b.static_bytes;
  if (!dynamic && !fixed) simt_fail("an address that is not in shared memory");
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) simt_fail("a shared address that is not a multiple of %u", bytes);
}

struct LoadMatrix {
  uint32_t* fragments;
  const uint16_t* row;
};

template <int matrices, bool transposed>
void distribute(void** requests, unsigned) {
  uint16_t m[matrices][8][8];
  for (int i = 0; i < matrices * 8; i++) {
    memcpy(m[i / 8][i % 8], static_cast<LoadMatrix*>(requests[i])->row, 16);
  }
  for (int lane = 0; lane < 32; lane++) {
    int row = lane / 4, column = lane % 4 * 2;
    for (int i = 0; i < matrices; i++) {
      uint32_t low = transposed ? m[i][column][row] : m[i][row][column];
      uint32_t high = transposed ? m[i][column + 1][row] : m[i][row][column + 1];
      static_cast<LoadMatrix*>(requests[lane])->fragments[i] = low | high << 16;
    }
  }
}

template <int matrices, bool transposed>
void load_matrix(uint32_t (&fragments)[matrices], const void* row) {
  if (simt_self->lane < matrices * 8) check_shared(row, 16);
  LoadMatrix own{fragments, static_cast<const uint16_t*>(row)};
  simt_collective("waits at ldmatrix", distribute<matrices, transposed>, 0xffffffffu, &own);
}

/// Remembers a copy; nothing arrives before it is waited for.
inline void copy_async(void* shared, const void* global, unsigned bytes, unsigned filled) {
  check_shared(shared, bytes);
  if (reinterpret_cast<uintptr_t>(global) % bytes != 0) simt_fail("a copy from an address not a multiple of %u", bytes);
  simt_self->copies.push_back({shared, global, bytes, filled, simt_self->groups});
}

/// Makes the copies of all groups but the last `left`.
inline void wait_async(unsigned left) {
  Thread& self = *simt_self;
  size_t kept = 0;
  for (AsyncCopy& copy : self.copies) {
    if (copy.group + left < self.groups) {
      memcpy(copy.to, copy.from, copy.filled);
      memset(static_cast<unsigned char*>(copy.to) + copy.filled, 0, copy.bytes - copy.filled);
    } else {
      self.copies[kept++] = copy;
    }
  }
  self.copies.resize(kept);
}

}  // namespace simt

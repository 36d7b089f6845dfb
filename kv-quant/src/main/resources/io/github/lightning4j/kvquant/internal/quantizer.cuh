// A row of channels that a warp holds to codes: AffineGrid.java, LloydMaxGrid.java, ScaleFormat.java and ZeroFormat.java
// are the specification, and the same bits come out. Ranges, scales and zero points are formed in double, by every
// lane alike; codes in fp32 from the stored scale and zero point.
// Constants: BITS, 2, 4 or 8; LLOYD_MAX, for 2 bits; SCALE 0 for log-scale bytes, 1 for fp16; ZERO 0 none, 1 whole and
// 2 eighths in a byte, 3 fp16; CENTERED, whether the range is clipped about its middle.
#pragma once
#include "core_cuda.cuh"

constexpr int kLevels = (1 << BITS) - 1;
constexpr int kMiddle = 1 << (BITS - 1);
constexpr double kUnit = ZERO == 2 ? 0.125 : 1;
constexpr double kLeastZero = ZERO == 3 ? -65504 : -128;
constexpr double kGreatestZero = ZERO == 3 ? 65504 : 127;
constexpr int kLeastScale = SCALE == 1 ? 1 : 0;
constexpr int kGreatestScale = SCALE == 1 ? 0x7bff : 255;

__device__ __forceinline__ float decode_scale(int encoded) {
  if (SCALE == 1) return widen(f16{uint16_t(encoded)});
  // 2^(k / 8), of which the stored number counts the exponent too.
  constexpr float kRoots[8] = {0x1.0p0f,      0x1.172b84p0f, 0x1.306fep0f,  0x1.4bfdaep0f,
                               0x1.6a09e6p0f, 0x1.8ace54p0f, 0x1.ae89fap0f, 0x1.d5818ep0f};
  return __uint_as_float(__float_as_uint(kRoots[encoded & 7]) + (uint32_t((encoded >> 3) - 20) << 23));
}

__device__ __forceinline__ int encode_scale(double scale) {
  if (scale <= decode_scale(kLeastScale)) return kLeastScale;
  if (scale >= decode_scale(kGreatestScale)) return kGreatestScale;
  if (SCALE == 1) return narrow<f16>(float(scale)).bits;
  // The borders between neighbouring roots, in the middle of their logarithms.
  constexpr double kBorders[8] = {0x1.0b5586cf9890fp0, 0x1.2387a6e756238p0, 0x1.3dea64c123422p0, 0x1.5ab07dd485429p0,
                                  0x1.7a11473eb0187p0, 0x1.9c49182a3f09p0,  0x1.c199bdd85529cp0, 0x1.ea4afa2a490dap0};
  int64_t bits = __double_as_longlong(scale);
  int exponent = int(bits >> 52) - 1023, steps = 0;
  double fraction = __longlong_as_double((bits & 0xfffffffffffffll) | int64_t(1023) << 52);
#pragma unroll
  for (int i = 0; i < 8; i++) steps += fraction >= kBorders[i];
  return 160 + 8 * exponent + steps;
}

__device__ __forceinline__ int encode_scale_at_least(double scale) {
  int encoded = encode_scale(scale);
  return decode_scale(encoded) < scale ? min(encoded + 1, kGreatestScale) : encoded;
}

__device__ __forceinline__ int encode_zero(double zero) {
  double whole = ZERO == 3 ? zero : rint(zero / kUnit);
  double stored = fmax(kLeastZero, fmin(kGreatestZero, whole - kMiddle / kUnit));
  return ZERO == 3 ? narrow<f16>(float(stored)).bits : int(stored) & 0xff;
}

__device__ __forceinline__ float decode_zero(int encoded) {
  return float(kMiddle) + (ZERO == 3 ? widen(f16{uint16_t(encoded)})
                                     : float(static_cast<signed char>(encoded)) * float(kUnit));
}

__device__ __forceinline__ bool reaches(double low, double high, float step) {
  double wanted = -low / step;
  return high - low > 0 && wanted >= kMiddle + kLeastZero * kUnit && wanted <= kMiddle + kGreatestZero * kUnit;
}

/// The least step with which a zero point that can be stored brings a range within reach.
__device__ __forceinline__ double least_step(double low, double high) {
  double below = -(kMiddle + kLeastZero * kUnit);
  if (low > 0) return below > 0 ? low / below : high / kLevels;
  return -low / (kMiddle + kGreatestZero * kUnit);
}

/// Codes of the lane's channels, and the group's scale and zero point, the same in every lane.
template <int V>
__device__ __forceinline__ void quantize(const float (&x)[V], double clip, uint8_t (&codes)[V], int& scale, int& zero) {
#if LLOYD_MAX
  double squares = 0;
#pragma unroll 4
  for (int lane = 0; lane < kWarp; lane++) {
#pragma unroll
    for (int i = 0; i < V; i++) {
      double value = __shfl_sync(kAllLanes, x[i], lane);
      squares += value * value;
    }
  }
  scale = encode_scale(sqrt(squares / (kWarp * V)));
  zero = 0;
  float s = decode_scale(scale);
#pragma unroll
  for (int i = 0; i < V; i++) {
    float scaled = x[i] / s;
    codes[i] = (scaled >= -0x1.f6941ep-1f) + (scaled >= 0) + (scaled >= 0x1.f6941ep-1f);
  }
#else
  float least = x[0], greatest = x[0];
#pragma unroll
  for (int i = 1; i < V; i++) {
    least = fminf(least, x[i]);
    greatest = fmaxf(greatest, x[i]);
  }
#pragma unroll
  for (int flip = 1; flip < kWarp; flip *= 2) {
    least = fminf(least, __shfl_xor_sync(kAllLanes, least, flip));
    greatest = fmaxf(greatest, __shfl_xor_sync(kAllLanes, greatest, flip));
  }
  // Products that are rounded before they are subtracted.
  double low = __dmul_rn(clip, least), high = __dmul_rn(clip, greatest);
  if (CENTERED) {
    double middle = (double(greatest) + least) / 2, half = __dmul_rn((double(greatest) - least) / 2, clip);
    low = middle - half;
    high = middle + half;
  }
  scale = encode_scale((high - low) / kLevels);
  if (!reaches(low, high, decode_scale(scale))) {
    low = least;
    high = greatest;
    scale = encode_scale((high - low) / kLevels);
    if (!reaches(low, high, decode_scale(scale))) scale = encode_scale_at_least(least_step(low, high));
  }
  float s = decode_scale(scale);
  zero = encode_zero(-low / s);
  float z = decode_zero(zero);
#pragma unroll
  for (int i = 0; i < V; i++) {
    float code = ZERO == 1 ? rintf(x[i] / s) + z : rintf(x[i] / s + z);
    codes[i] = uint8_t(fmaxf(0, fminf(kLevels, code)));
  }
#endif
}

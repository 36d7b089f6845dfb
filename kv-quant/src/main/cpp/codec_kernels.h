// Codes and metadata of packed groups to floats: x' = s (q - z), or s levels[q]. KvQuantizer.java is the
// specification; each value is rounded once to fp32, as there.

static inline float decode_e4m3(uint8_t u) {
  int exponent = u >> 3, eighths = u & 7;
  return exponent == 0 ? eighths * 0x1p-9f : std::ldexp(1 + eighths / 8.0f, exponent - 7);
}

static inline float decode_scale(int64_t format, const uint8_t* p) {
  switch (format) {
    case kv::kLog8:
      return kv::tables.log8[*p];
    case kv::kE4M3:
      return decode_e4m3(*p);
    case kv::kFp16: {
      f16 half;
      std::memcpy(&half, p, 2);
      return value(half);
    }
    default: {
      float f;
      std::memcpy(&f, p, 4);
      return f;
    }
  }
}

static inline float decode_zero(int64_t format, int64_t bits, const uint8_t* p) {
  float middle = static_cast<float>(1 << (bits - 1));
  switch (format) {
    case kv::kInteger:
      return middle + static_cast<int8_t>(*p);
    case kv::kFractional:
      return middle + static_cast<int8_t>(*p) * 0.125f;
    case kv::kFloat: {
      f16 half;
      std::memcpy(&half, p, 2);
      return middle + value(half);
    }
    default:
      return 0;
  }
}

// Scales and zero points of the first `tokens` tokens of a group, up to a multiple of 8.
static inline void decode_metadata(const kv::Codec& codec, const kv::Group& group, int64_t tokens, float* scales,
                                   float* zeros) {
  int64_t end = (tokens + 7) / 8 * 8;
  if (codec.scale == kv::kLog8) {
    const __m256i eighths = _mm256_castps_si256(_mm256_loadu_ps(kv::tables.log8));
    for (int64_t t = 0; t < end; t += 8) {
      __m256i u = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(group.scales + t)));
      __m256i eighth = _mm256_permutevar8x32_epi32(eighths, u);  // takes the lower three bits
      __m256i octaves = _mm256_slli_epi32(_mm256_srli_epi32(u, 3), 23);
      _mm256_storeu_ps(scales + t, _mm256_castsi256_ps(_mm256_add_epi32(eighth, octaves)));
    }
  } else {
    for (int64_t t = 0; t < end; ++t) scales[t] = decode_scale(codec.scale, group.scales + t * codec.scale_bytes());
  }
  if (codec.zero == kv::kLloydMax) {
    std::fill(zeros, zeros + end, 0.0f);
  } else if (codec.zero == kv::kInteger || codec.zero == kv::kFractional) {
    const __m256 middle = _mm256_set1_ps(static_cast<float>(1 << (codec.bits - 1)));
    const __m256 unit = _mm256_set1_ps(codec.zero == kv::kInteger ? 1.0f : 0.125f);
    for (int64_t t = 0; t < end; t += 8) {
      __m256i stored = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(group.zeros + t)));
      _mm256_storeu_ps(zeros + t, _mm256_add_ps(middle, _mm256_mul_ps(_mm256_cvtepi32_ps(stored), unit)));
    }
  } else {
    for (int64_t t = 0; t < end; ++t) {
      zeros[t] = decode_zero(codec.zero, codec.bits, group.zeros + t * codec.zero_bytes());
    }
  }
}

// The codes of one token and group, one a byte.
static inline void unpack(const uint8_t* packed, int64_t n, int64_t bits, uint8_t* codes) {
  if (bits == 8) {
    std::copy(packed, packed + n, codes);
    return;
  }
  int64_t width = bits == 3 ? 2 : bits, stripe = n * width / 8;
  int mask = (1 << width) - 1;
  for (int64_t k = 0; k < 8 / width; ++k) {
    for (int64_t j = 0; j < stripe; ++j) codes[k * stripe + j] = packed[j] >> (width * k) & mask;
  }
  if (bits == 3) {
    const uint8_t* upper = packed + n / 4;
    for (int64_t k = 0; k < 8; ++k) {
      for (int64_t j = 0; j < n / 8; ++j) codes[k * (n / 8) + j] |= (upper[j] >> k & 1) << 2;
    }
  }
}

static inline void pack(const uint8_t* codes, int64_t n, int64_t bits, uint8_t* packed) {
  if (bits == 8) {
    std::copy(codes, codes + n, packed);
    return;
  }
  int64_t width = bits == 3 ? 2 : bits, stripe = n * width / 8;
  int mask = (1 << width) - 1;
  for (int64_t j = 0; j < stripe; ++j) {
    int byte = 0;
    for (int64_t k = 0; k < 8 / width; ++k) byte |= (codes[k * stripe + j] & mask) << (width * k);
    packed[j] = static_cast<uint8_t>(byte);
  }
  if (bits == 3) {
    for (int64_t j = 0; j < n / 8; ++j) {
      int byte = 0;
      for (int64_t k = 0; k < 8; ++k) byte |= (codes[k * (n / 8) + j] >> 2) << k;
      packed[n / 4 + j] = static_cast<uint8_t>(byte);
    }
  }
}

// The values of a grid of 4, 8 or 16 levels: looked up in registers.
static inline void grid_values(const float* levels, int64_t bits, const uint8_t* codes, int64_t n, float scale,
                               float* to) {
  const __m256 by = _mm256_set1_ps(scale);
  const __m256 low = bits == 2 ? _mm256_broadcast_ps(reinterpret_cast<const __m128*>(levels)) : _mm256_loadu_ps(levels);
  const __m256 high = bits == 4 ? _mm256_loadu_ps(levels + 8) : low;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    __m256i c = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + i)));
    __m256 level = _mm256_permutevar8x32_ps(low, c);
    if (bits == 4) {
      __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(c, 28));  // bit 3 as the sign
      level = _mm256_blendv_ps(level, _mm256_permutevar8x32_ps(high, c), upper);
    }
    _mm256_storeu_ps(to + i, _mm256_mul_ps(by, level));
  }
  for (; i < n; ++i) to[i] = scale * levels[codes[i]];
}

// The values of one token and group.
static inline void dequantize(const kv::Codec& codec, const uint8_t* codes, int64_t n, float scale, float zero,
                              float* to) {
  if (codec.zero == kv::kLloydMax) {
    grid_values(kv::tables.levels[codec.bits - 2], codec.bits, codes, n, scale, to);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = scale * (codes[i] - zero);
  }
}

// The first `tokens` tokens of a unit as rows of floats, `stride` apart.
static void unpack_unit(const kv::Codec& codec, int64_t page, int64_t unit, int64_t tokens, float* rows,
                        int64_t stride) {
  float scales[kv::kPageTokens], zeros[kv::kPageTokens];
  uint8_t codes[128];
  for (int64_t g = 0; g < codec.groups(); ++g) {
    kv::Group group = codec.at(page, unit, g);
    decode_metadata(codec, group, tokens, scales, zeros);
    for (int64_t t = 0; t < tokens; ++t) {
      unpack(group.codes + t * codec.token_bytes(group.n), group.n, codec.bits, codes);
      dequantize(codec, codes, group.n, scales[t], zeros[t], rows + t * stride + g * codec.group);
    }
  }
}

// Rows of floats to codes: AffineGrid.java and LloydMaxGrid.java are the specification, and the same bits come
// out. The range of a group, scale and zero point are formed in double, codes in fp32 from the stored scale and
// zero point.

// Keeps a product from being fused into the sum it goes into.
static inline double rounded(double x) {
  asm("" : "+x"(x));
  return x;
}

struct Range {
  double min;
  double max;
  double width() const { return max - min; }
};

static inline uint32_t float_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}

// The stored form of a scale as a number; least and greatest of each format.
struct ScaleRange {
  uint32_t least, greatest;
  static ScaleRange of(int64_t format) {
    switch (format) {
      case kv::kLog8:
        return {0, 255};
      case kv::kE4M3:
        return {1, 0x7e};
      case kv::kFp16:
        return {1, 0x7bff};
      default:
        return {0x00800000, 0x7a800000};
    }
  }
};

static inline float scale_value(int64_t format, uint32_t encoded) {
  uint8_t bytes[4];
  std::memcpy(bytes, &encoded, 4);
  return decode_scale(format, bytes);
}

static inline uint32_t nearest_scale(int64_t format, double scale) {
  int exponent = std::ilogb(scale);
  switch (format) {
    case kv::kLog8: {
      double fraction = std::ldexp(scale, -exponent);
      int steps = 0;
      while (steps < 8 && fraction >= kv::tables.log8_borders[steps]) ++steps;
      return 160 + 8 * exponent + steps;
    }
    case kv::kE4M3: {
      exponent = std::max(exponent, -6);
      return static_cast<int>(std::rint(std::ldexp(scale, 3 - exponent))) + 8 * (exponent + 6);
    }
    case kv::kFp16:
      return to_f16(static_cast<float>(scale)).bits;
    default:
      return float_bits(static_cast<float>(scale));
  }
}

static inline uint32_t encode_scale(int64_t format, double scale) {
  ScaleRange range = ScaleRange::of(format);
  if (scale <= scale_value(format, range.least)) return range.least;
  return scale >= scale_value(format, range.greatest) ? range.greatest : nearest_scale(format, scale);
}

static inline uint32_t encode_scale_at_least(int64_t format, double scale) {
  uint32_t encoded = encode_scale(format, scale);
  return scale_value(format, encoded) < scale ? std::min(encoded + 1, ScaleRange::of(format).greatest) : encoded;
}

static inline double zero_unit(int64_t format) { return format == kv::kFractional ? 0.125 : 1; }
static inline double least_zero(const kv::Codec& c) {
  return (1 << (c.bits - 1)) + (c.zero == kv::kFloat ? -65504.0 : -128.0) * zero_unit(c.zero);
}
static inline double greatest_zero(const kv::Codec& c) {
  return (1 << (c.bits - 1)) + (c.zero == kv::kFloat ? 65504.0 : 127.0) * zero_unit(c.zero);
}

static inline uint16_t encode_zero(const kv::Codec& c, double zero) {
  double middle = 1 << (c.bits - 1);
  if (c.zero == kv::kFloat) {
    return to_f16(static_cast<float>(std::max(-65504.0, std::min(65504.0, zero - middle)))).bits;
  }
  double stored = std::rint(zero / zero_unit(c.zero)) - middle / zero_unit(c.zero);
  return static_cast<uint8_t>(static_cast<int8_t>(std::max(-128.0, std::min(127.0, stored))));
}

static inline Range whole_range(const float* x, int64_t n) {
  float min = x[0], max = x[0];
  for (int64_t i = 1; i < n; ++i) {
    min = x[i] < min ? x[i] : min;
    max = x[i] > max ? x[i] : max;
  }
  return {min, max};
}

static inline Range clipped_range(const kv::Codec& codec, const float* x, int64_t n) {
  Range whole = whole_range(x, n);
  if (codec.clip_rule == kv::kPaper) return {codec.clip * whole.min, codec.clip * whole.max};
  if (codec.clip_rule == kv::kCentered) {
    double middle = (whole.max + whole.min) / 2, half = rounded((whole.max - whole.min) / 2 * codec.clip);
    return {middle - half, middle + half};
  }
  float magnitudes[128];
  for (int64_t i = 0; i < n; ++i) magnitudes[i] = std::fabs(x[i]);
  std::sort(magnitudes, magnitudes + n);
  double at = rounded(codec.clip * (n - 1));
  int64_t below = static_cast<int64_t>(at), above = std::min(below + 1, n - 1);
  double step = rounded((at - below) * (static_cast<double>(magnitudes[above]) - magnitudes[below]));
  double c = magnitudes[below] + step;
  Range clipped{std::max(whole.min, -c), std::min(whole.max, c)};
  return clipped.max > clipped.min ? clipped : whole;
}

static inline bool reaches(const kv::Codec& codec, const Range& range, float step) {
  double wanted = -range.min / step;
  return range.width() > 0 && wanted >= least_zero(codec) && wanted <= greatest_zero(codec);
}

// The least step with which a zero point that can be stored brings a range within reach.
static inline double least_step(const kv::Codec& codec, const Range& range, int levels) {
  double below = -least_zero(codec);
  if (range.min > 0) return below > 0 ? range.min / below : range.max / levels;
  return -range.min / greatest_zero(codec);
}

static void quantize_affine(const kv::Codec& codec, const float* x, int64_t n, uint8_t* codes, uint32_t* scale,
                            uint32_t* zero) {
  int levels = (1 << codec.bits) - 1;
  Range range = clipped_range(codec, x, n);
  *scale = encode_scale(codec.scale, range.width() / levels);
  if (!reaches(codec, range, scale_value(codec.scale, *scale))) {
    range = whole_range(x, n);
    *scale = encode_scale(codec.scale, range.width() / levels);
    if (!reaches(codec, range, scale_value(codec.scale, *scale))) {
      *scale = encode_scale_at_least(codec.scale, least_step(codec, range, levels));
    }
  }
  float s = scale_value(codec.scale, *scale);
  *zero = encode_zero(codec, -range.min / s);
  uint8_t stored[2] = {static_cast<uint8_t>(*zero), static_cast<uint8_t>(*zero >> 8)};
  float z = decode_zero(codec.zero, codec.bits, stored), top = static_cast<float>(levels);
  bool whole = codec.zero == kv::kInteger;
  for (int64_t i = 0; i < n; ++i) {
    float steps = x[i] / s;
    float code = whole ? std::nearbyint(steps) + z : std::nearbyint(steps + z);
    codes[i] = static_cast<uint8_t>(std::max(0.0f, std::min(top, code)));
  }
}

static void quantize_lloyd_max(const kv::Codec& codec, const float* x, int64_t n, uint8_t* codes, uint32_t* scale) {
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) {  // the products are exact, fused or not
    squares += static_cast<double>(x[i]) * x[i];
  }
  *scale = encode_scale(codec.scale, std::sqrt(squares / n));
  float s = scale_value(codec.scale, *scale);
  const float* thresholds = kv::tables.thresholds[codec.bits - 2];
  int count = (1 << codec.bits) - 1;
  for (int64_t i = 0; i < n; ++i) {
    float scaled = x[i] / s;
    int code = 0;
    for (int q = 0; q < count; ++q) code += scaled >= thresholds[q];
    codes[i] = static_cast<uint8_t>(code);
  }
}

static inline void put(uint8_t* to, int64_t bytes, uint32_t encoded) {
  for (int64_t i = 0; i < bytes; ++i) to[i] = static_cast<uint8_t>(encoded >> (8 * i));
}

// A row of one unit into its slot.
static void quantize(const kv::Codec& codec, int64_t page, int64_t unit, int64_t slot, const float* row) {
  uint8_t codes[128];
  for (int64_t g = 0; g < codec.groups(); ++g) {
    kv::Group group = codec.at(page, unit, g);
    const float* x = row + g * codec.group;
    uint32_t scale, zero = 0;
    if (codec.zero == kv::kLloydMax) {
      quantize_lloyd_max(codec, x, group.n, codes, &scale);
    } else {
      quantize_affine(codec, x, group.n, codes, &scale, &zero);
    }
    pack(codes, group.n, codec.bits, group.codes + slot * codec.token_bytes(group.n));
    put(group.scales + slot * codec.scale_bytes(), codec.scale_bytes(), scale);
    put(group.zeros + slot * codec.zero_bytes(), codec.zero_bytes(), zero);
  }
}

// Rows of fp32 activations as integers of 16 or 8 bits in blocks, see quant_layout.h. One read of the row for the
// largest magnitude of each block, one (from the cache) for its integers. A block with NaN or infinity gets the scale
// NaN, and so every product of its row is NaN; magnitudes below 1e-30 count as 1e-30, so that 1 / scale stays finite.

#if L4J_WIDTH == 16
static inline vi largest_of(vi a, vi b) { return (vi)_mm512_max_epi32((__m512i)a, (__m512i)b); }
static inline int32_t largest_in(vi x) { return _mm512_reduce_max_epi32((__m512i)x); }
static inline vi rounded(vf x) { return (vi)_mm512_cvtps_epi32((__m512)x); }
static inline void store_s16(int16_t* p, vi x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtsepi32_epi16((__m512i)x));
}
static inline int32_t sum_of(vi x) { return _mm512_reduce_add_epi32((__m512i)x); }
#else
static inline vi largest_of(vi a, vi b) { return (vi)_mm256_max_epi32((__m256i)a, (__m256i)b); }
static inline int32_t largest_in(vi x) {
  __m128i m = _mm_max_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
  m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1)));
}
static inline vi rounded(vf x) { return (vi)_mm256_cvtps_epi32((__m256)x); }
static inline void store_s16(int16_t* p, vi x) {
  __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)x, (__m256i)x), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
static inline int32_t sum_of(vi x) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128((__m256i)x), _mm256_extracti128_si256((__m256i)x, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
#endif

static inline float as_float(int32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

// n padded elements of which `valid` exist, as integers of at most `most`.
static inline void quantize_block(const float* x, int64_t valid, int64_t n, float most, int16_t* q, float& scale,
                                  float& offset) {
  vi largest{};
  for (int64_t i = 0; i < valid; i += kWidth) {
    largest = largest_of(largest, (vi)load_next(x + i, valid - i) & 0x7fffffff);
  }
  int32_t bits = largest_in(largest);  // magnitudes are ordered as their bits are, NaN and infinity above all
  if (bits >= 0x7f800000) {
    std::memset(q, 0, n * sizeof(int16_t));
    scale = offset = NAN;
    return;
  }
  float max = std::max(as_float(bits), 1e-30f);
  vf inverse = splat(most / max);
  vi sums{};
  for (int64_t i = 0; i < n; i += kWidth) {
    vi c = i < valid ? rounded(load_next(x + i, valid - i) * inverse) : vi{};
    sums += c;
    store_s16(q + i, c);
  }
  scale = max / most;
  offset = scale * static_cast<float>(sum_of(sums));
}

// 16 integers of 16 bits that fit in 8.
static inline void narrow_16(const int16_t* q, uint8_t* to) {
  const __m128i* p = reinterpret_cast<const __m128i*>(q);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(_mm_loadu_si128(p), _mm_loadu_si128(p + 1)));
}

// Calls done(b, integers, their number, scale, offset) for the blocks of a row against the layout of w.
template <class Done>
static inline void for_quantized_blocks(const QuantMatrix& w, const float* x, Done done) {
  const float most = w.bits == 8 ? 32767.0f : 127.0f;
  alignas(64) int16_t q[kMaxBlock];
  for (int64_t b = 0; b < w.blocks; ++b) {
    int64_t k = b * w.block, n = std::min(w.block, w.kp - k);
    float scale, offset;
    quantize_block(x + k, std::min(n, w.columns - k), n, most, q, scale, offset);
    done(b, q, n, scale, offset);
  }
}

// Rows [from, to) of x against the layout of w.
static void quantize_rows(const QuantMatrix& w, const float* x, int64_t ldx, const QuantRows& out, int64_t from,
                          int64_t to) {
  for (int64_t m = from; m < to; ++m) {
    float *scales = out.scales + m * out.ld, *offsets = out.offsets + m * out.ld;
    uint8_t* row = out.q + m * out.row_bytes;
    if (w.bits == 4 && w.kp < out.row_bytes) std::memset(row + out.row_bytes - kMaxBlock, 0, kMaxBlock);
    for_quantized_blocks(w, x + m * ldx, [&](int64_t b, const int16_t* q, int64_t n, float scale, float offset) {
      scales[b] = scale;
      offsets[b] = offset;
      int64_t k = b * w.block;
      if (w.bits == 8) {
        std::memcpy(row + 2 * k, q, n * sizeof(int16_t));
        return;
      }
      for (int64_t i = 0; i < n; i += 16) {
        int64_t in_step = (k + i) % kNibbleStep, high = in_step / 16 % 2;
        narrow_16(q + i, row + k + i - in_step + high * (kNibbleStep / 2) + in_step / 32 * 16);
      }
    });
    for (int64_t b = w.blocks; b < out.ld; ++b) scales[b] = offsets[b] = 0;
  }
}

// Eight integers of 16 bits as 256 high + low: the high bytes of four, with a sign, their low ones without, and again.
static inline void part_bytes(int16_t* q) {
  const __m128i order = _mm_setr_epi8(1, 3, 5, 7, 0, 2, 4, 6, 9, 11, 13, 15, 8, 10, 12, 14);
  auto p = reinterpret_cast<__m128i*>(q);
  _mm_storeu_si128(p, _mm_shuffle_epi8(_mm_loadu_si128(p), order));
}

// Panel p of as many tokens, token t at row(t), against the layout of w; with PARTS, 16 bits in parts.
template <bool PARTS, class Row>
static inline void quantize_panel(const QuantMatrix& w, int64_t tokens, Row row, const QuantPanels& out, int64_t p) {
  if (tokens < out.lanes) std::memset(out.q(p), 0, out.panel_bytes());
  const int64_t columns_a_unit = 16 / w.bits;
  for (int64_t t = 0; t < tokens; ++t) {
    float *scales = out.scales(p) + t, *offsets = out.offsets(p) + t;
    for_quantized_blocks(w, row(t), [&](int64_t b, int16_t* q, int64_t n, float scale, float offset) {
      scales[b * out.lanes] = scale;
      offsets[b * out.lanes] = offset;
      auto bytes = reinterpret_cast<uint8_t*>(q);
      if (w.bits == 4) {
        for (int64_t i = 0; i < n; i += 16) narrow_16(q + i, bytes + i);  // never ahead of what is read
      } else if (PARTS) {
        for (int64_t i = 0; i < n; i += 8) part_bytes(q + i);
      }
      int32_t* to = out.q(p) + b * w.block / columns_a_unit * out.lanes + t;
      for (int64_t u = 0; u < n / columns_a_unit; ++u) std::memcpy(to + u * out.lanes, bytes + 4 * u, 4);
    });
  }
}

// Products of rows of quantized weights with rows of 16-bit integer activations, see quant_layout.h:
//
//   <w, x> = sum over blocks of w.scale x.scale (sum_i c_i q_i - zero sum_i q_i)
//
// The integer sums are exact: 127 * 32767 * 128 < 2^31. Three instructions serve 2 * kWidth weights of 8 bits (widen,
// multiply-add pairs, add), eight serve 4 * kWidth of 4 bits. The factors w.scale x.scale and the zero-point terms
// of kWidth blocks are formed at once. Sums in fp32 have one order for every grouping of rows and tokens: lane by
// lane over the blocks, zero-point terms of kWidth blocks before their products, then the lanes are folded.
// Multiply-adds are written out, since a compiler may contract each copy of a template differently.

// vs: 2 * kWidth integers of 16 bits.
#if L4J_WIDTH == 16
typedef __m512i vs;
static inline vs load_s16(const int16_t* p) { return _mm512_loadu_si512(p); }
static inline vs load_s8(const uint8_t* p) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
static inline vs load_u8(const uint8_t* p) {
  return _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
static inline vs low_nibbles(vs x) { return _mm512_and_si512(x, _mm512_set1_epi16(15)); }
static inline vs high_nibbles(vs x) { return _mm512_srli_epi16(x, 4); }
static inline vi multiply_pairs(vs a, vs b) { return (vi)_mm512_madd_epi16(a, b); }
static inline vf to_floats(vi x) { return (vf)_mm512_cvtepi32_ps((__m512i)x); }
static inline vf multiply_add(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
static inline vf negative_multiply_add(vf a, vf b, vf c) {
  return (vf)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
static inline vi load_bytes(const uint8_t* p) {
  return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline vi load_signed_bytes(const uint8_t* p) {
  return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
#else
typedef __m256i vs;
static inline vs load_s16(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
static inline vs load_s8(const uint8_t* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline vs load_u8(const uint8_t* p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline vs low_nibbles(vs x) { return _mm256_and_si256(x, _mm256_set1_epi16(15)); }
static inline vs high_nibbles(vs x) { return _mm256_srli_epi16(x, 4); }
static inline vi multiply_pairs(vs a, vs b) { return (vi)_mm256_madd_epi16(a, b); }
static inline vf to_floats(vi x) { return (vf)_mm256_cvtepi32_ps((__m256i)x); }
static inline vf multiply_add(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
static inline vf negative_multiply_add(vf a, vf b, vf c) {
  return (vf)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
static inline vi load_bytes(const uint8_t* p) {
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
static inline vi load_signed_bytes(const uint8_t* p) {
  return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
#endif

static inline vf scales_at(const uint16_t* p) { return load(reinterpret_cast<const bf16*>(p)); }

// The activations that meet the low and the high nibbles of 2 * kWidth bytes.
static inline void load_split(const int16_t* q, vs& low, vs& high) {
#if L4J_WIDTH == 16
  const __m256i* p = reinterpret_cast<const __m256i*>(q);
  low = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(p)), _mm256_loadu_si256(p + 2), 1);
  high = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(p + 1)), _mm256_loadu_si256(p + 3), 1);
#else
  low = load_s16(q);
  high = load_s16(q + 16);
#endif
}

// Zeros, as for vf.
template <int R, int C>
static inline void clear(vi (&x)[R][C]) {
  for (int i = 0; i < R; ++i) {
    for (int j = 0; j < C; ++j) x[i][j] = vi{};
  }
}

// Integer sums of the next n weights of NB rows with MB tokens; n is a multiple of 32.
template <int BITS, int MB, int NB>
static inline __attribute__((always_inline)) void block_sums(const uint8_t* const (&w)[NB],
                                                             const int16_t* const (&q)[MB], int64_t n,
                                                             vi (&sums)[MB][NB]) {
  clear(sums);
  constexpr int64_t kStep = BITS == 8 ? 2 * kWidth : 4 * kWidth;
  int64_t i = 0;
#pragma GCC unroll 1  // unrolled, the sums of two tokens and more spill to memory
  for (; i + kStep <= n; i += kStep) {
    if constexpr (BITS == 8) {
      vs x[MB];
      for (int m = 0; m < MB; ++m) x[m] = load_s16(q[m] + i);
      for (int j = 0; j < NB; ++j) {
        vs c = load_s8(w[j] + i);
        for (int m = 0; m < MB; ++m) sums[m][j] += multiply_pairs(c, x[m]);
      }
    } else {
      vs low[MB], high[MB];
      for (int m = 0; m < MB; ++m) load_split(q[m] + i, low[m], high[m]);
      for (int j = 0; j < NB; ++j) {
        vs c = load_u8(w[j] + i / 2);
        vs c0 = low_nibbles(c), c1 = high_nibbles(c);
        for (int m = 0; m < MB; ++m) sums[m][j] += multiply_pairs(c0, low[m]) + multiply_pairs(c1, high[m]);
      }
    }
  }
#if L4J_WIDTH == 16
  if (BITS == 4 && i < n) {  // 32 weights are half a step
    for (int j = 0; j < NB; ++j) {
      __m256i c = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w[j] + i / 2)));
      __m256i c0 = _mm256_and_si256(c, _mm256_set1_epi16(15)), c1 = _mm256_srli_epi16(c, 4);
      for (int m = 0; m < MB; ++m) {
        const __m256i* p = reinterpret_cast<const __m256i*>(q[m] + i);
        __m256i s = _mm256_add_epi32(_mm256_madd_epi16(c0, _mm256_loadu_si256(p)),
                                     _mm256_madd_epi16(c1, _mm256_loadu_si256(p + 1)));
        sums[m][j] += (vi)_mm512_zextsi256_si512(s);
      }
    }
  }
#endif
}

// The factors of kWidth blocks from b on; with 4 bits their zero-point terms are taken from the totals.
template <int BITS, int MB, int NB>
static inline __attribute__((always_inline)) void block_factors(const uint16_t* const (&scales)[NB],
                                                                const uint8_t* const (&zeros)[NB],
                                                                const float* const (&x_scales)[MB],
                                                                const float* const (&x_offsets)[MB], int64_t b,
                                                                float (&factors)[MB][NB][kWidth],
                                                                vf (&totals)[MB][NB]) {
  for (int j = 0; j < NB; ++j) {
    vf scale = scales_at(scales[j] + b), zero{};
    if (BITS == 4) zero = scale * to_floats(load_bytes(zeros[j] + b));
    for (int m = 0; m < MB; ++m) {
      store(factors[m][j], scale * load(x_scales[m] + b));
      if (BITS == 4) totals[m][j] = negative_multiply_add(zero, load(x_offsets[m] + b), totals[m][j]);
    }
  }
}

// Near enough to stay in the first cache, far enough to be there in time.
constexpr int64_t kAhead = 2048;

// out[m][j] = <row[j] of matrix[j], token[m] of x>; the matrices have one layout, with blocks of BLOCK. What lies
// kAhead bytes on is fetched into the cache, a line for each one read and in the order it lies in: hardware does not look
// from one short row to the next. Rows of one matrix are neighbours.
template <int BITS, int BLOCK, int MB, int NB>
static inline void quant_dots(const QuantMatrix* const (&matrix)[NB], const int64_t (&row)[NB], const QuantRows& x,
                              const int64_t (&token)[MB], float (&out)[MB][NB]) {
  constexpr int kBytes = BLOCK * BITS / 8, kLine = 64;
  const int64_t kp = matrix[0]->kp, blocks = matrix[0]->blocks, whole = kp / BLOCK, row_bytes = kp * BITS / 8;
  const uint8_t *w[NB], *zeros[NB];
  const uint16_t* scales[NB];
  for (int j = 0; j < NB; ++j) {
    w[j] = matrix[j]->codes + row[j] * row_bytes;
    scales[j] = matrix[j]->scales + row[j] * blocks;
    zeros[j] = BITS == 4 ? matrix[j]->zeros + row[j] * blocks : nullptr;
  }
  const bool neighbours = matrix[0] == matrix[NB - 1];
  const int64_t step = neighbours ? NB * kLine : kLine;
  const char* next[NB];
  for (int j = 0; j < NB; ++j) {
    next[j] = reinterpret_cast<const char*>(neighbours ? w[0] + j * kLine : w[j]) + kAhead;
  }
  const int16_t* q[MB];
  const float *x_scales[MB], *x_offsets[MB];
  for (int m = 0; m < MB; ++m) {
    q[m] = x.q + token[m] * kp;
    x_scales[m] = x.scales + token[m] * x.ld;
    x_offsets[m] = x.offsets + token[m] * x.ld;
  }
  vf totals[MB][NB];
  clear(totals);
  float factors[MB][NB][kWidth];
  vi sums[MB][NB];
  auto add_block = [&](int64_t b) {
    for (int m = 0; m < MB; ++m) {
      for (int j = 0; j < NB; ++j) {
        totals[m][j] = multiply_add(to_floats(sums[m][j]), splat(factors[m][j][b]), totals[m][j]);
      }
    }
  };
  for (int64_t b0 = 0; b0 < blocks; b0 += kWidth) {
    block_factors<BITS, MB, NB>(scales, zeros, x_scales, x_offsets, b0, factors, totals);
    for (int64_t b = b0; b < std::min<int64_t>(whole, b0 + kWidth); ++b) {
      if (kBytes >= kLine || b % (kLine / kBytes) == 0) {
        for (int j = 0; j < NB; ++j) {
          for (int i = 0; i < kBytes; i += kLine) {
            _mm_prefetch(next[j], _MM_HINT_T0);
            next[j] += step;
          }
        }
      }
      block_sums<BITS, MB, NB>(w, q, BLOCK, sums);
      for (int j = 0; j < NB; ++j) w[j] += kBytes;
      for (int m = 0; m < MB; ++m) q[m] += BLOCK;
      add_block(b - b0);
    }
  }
  if (whole < blocks) {
    block_sums<BITS, MB, NB>(w, q, kp - whole * BLOCK, sums);
    add_block(whole % kWidth);
  }
  for (int m = 0; m < MB; ++m) {
    for (int j = 0; j < NB; ++j) out[m][j] = sum(totals[m][j]);
  }
}

constexpr int kQuantTokens = 4;

// n <= kQuantTokens tokens against two rows.
template <int BITS, int BLOCK>
static inline void quant_pair(const QuantMatrix* const (&matrix)[2], const int64_t (&row)[2], const QuantRows& x,
                              const int64_t* token, int64_t n, float (&out)[kQuantTokens][2]) {
  auto dots = [&](auto tokens) {
    constexpr int MB = decltype(tokens)::value;
    int64_t t[MB];
    for (int m = 0; m < MB; ++m) t[m] = token[m];
    float d[MB][2];
    quant_dots<BITS, BLOCK, MB, 2>(matrix, row, x, t, d);
    for (int m = 0; m < MB; ++m) out[m][0] = d[m][0], out[m][1] = d[m][1];
  };
  switch (n) {
    case 1:
      return dots(std::integral_constant<int, 1>{});
    case 2:
      return dots(std::integral_constant<int, 2>{});
    case 3:
      return dots(std::integral_constant<int, 3>{});
    case 4:
      return dots(std::integral_constant<int, 4>{});
  }
}

// Calls work with the bits and the block of a layout as constants.
template <class Work>
static inline void with_format(const QuantMatrix& w, Work work) {
  auto with_bits = [&](auto bits) {
    switch (w.block) {
      case 32:
        return work(bits, std::integral_constant<int, 32>{});
      case 64:
        return work(bits, std::integral_constant<int, 64>{});
      case kMaxBlock:
        return work(bits, std::integral_constant<int, kMaxBlock>{});
    }
  };
  w.bits == 8 ? with_bits(std::integral_constant<int, 8>{}) : with_bits(std::integral_constant<int, 4>{});
}

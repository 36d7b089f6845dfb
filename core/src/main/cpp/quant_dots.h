// Products of rows of quantized weights with rows of integer activations, see quant_layout.h:
//
//   <w, x> = sum over blocks of w.scale x.scale (sum_i c_i q_i - zero sum_i q_i)
//
// The integer sums are exact. 8 bits meet 16: 127 * 32767 * 128 < 2^31, and three instructions serve 2 * kWidth
// weights (widen, multiply-add pairs, add). 4 bits meet 8: four products of at most 15 * 127 for each lane of a
// vector of codes stay below 2^15 (eight in a block of 128), so ten instructions serve 8 * kWidth weights of one
// token (three of them all tokens): load, part the nibbles, multiply-add pairs of bytes twice, add, widen to 32 bits,
// to float, scale. With VNNI (quant_products.h) two and eight do. The factors w.scale x.scale and the zero-point terms of kWidth blocks are formed at once. Sums in
// fp32 have one order for every grouping of rows and tokens: lane by lane over the blocks, zero-point terms of kWidth
// blocks before their products, then the lanes are folded. Multiply-adds are written out, since a compiler may
// contract each copy of a template differently.

// Integer sums of the next n weights of 8 bits of NB rows with MB tokens; n is a multiple of 32.
template <int MB, int NB>
static inline __attribute__((always_inline)) void block_sums(const uint8_t* const (&w)[NB],
                                                             const uint8_t* const (&q)[MB], int64_t n,
                                                             vi (&sums)[MB][NB]) {
  clear(sums);
#pragma GCC unroll 1  // unrolled, the sums of two tokens and more spill to memory
  for (int64_t i = 0; i < n; i += 2 * kWidth) {
    vs x[MB];
    for (int m = 0; m < MB; ++m) x[m] = load_codes(q[m] + 2 * i);
    for (int j = 0; j < NB; ++j) {
      vs c = load_s8(w[j] + i);
      for (int m = 0; m < MB; ++m) sums[m][j] = add_pairs(sums[m][j], c, x[m]);
    }
  }
}

// Adds the products of the next kMaxBlock weights of 4 bits of one row, whose factors are in `factors` from b on.
template <int BLOCK, int MB, int NB>
static inline __attribute__((always_inline)) void add_nibbles(const uint8_t* w, const uint8_t* const (&q)[MB],
                                                              const float (&factors)[MB][NB][2 * kWidth], int64_t b,
                                                              int j, vf (&totals)[MB][NB]) {
  constexpr int kSteps = kMaxBlock / kNibbleStep, kBlocks = std::max<int>(1, kNibbleStep / BLOCK);
  constexpr bool kJoined = BLOCK > kNibbleStep;  // one sum for all steps
  fours sums[MB];
  for (int s = 0; s < kSteps; ++s) {
    vs c = load_codes(w + s * kNibbleStep / 2), low = low_nibbles(c), high = high_nibbles(c);
    for (int m = 0; m < MB; ++m) {
      const uint8_t* x = q[m] + s * kNibbleStep;
      fours lows = kJoined && s > 0 ? add_fours(sums[m], low, load_codes(x)) : multiply_fours(low, load_codes(x));
      sums[m] = add_fours(lows, high, load_codes(x + kNibbleStep / 2));
      if (kJoined && s + 1 < kSteps) continue;
      const float* factor = factors[m][j] + b + (kJoined ? 0 : s * kNibbleStep / BLOCK);
      totals[m][j] = multiply_add(to_floats(to_s32(sums[m])), spread<kBlocks>(factor), totals[m][j]);
    }
  }
}

// The factors of kWidth blocks from b on; with 4 bits their zero-point terms are taken from the totals.
template <int BITS, int MB, int NB>
static inline __attribute__((always_inline)) void block_factors(const uint16_t* const (&scales)[NB],
                                                                const uint8_t* const (&zeros)[NB],
                                                                const float* const (&x_scales)[MB],
                                                                const float* const (&x_offsets)[MB], int64_t b,
                                                                float (&factors)[MB][NB][2 * kWidth],
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
// kAhead bytes on is fetched into the cache, a line for each one read and in the order it lies in: hardware does not
// look from one short row to the next. Rows of one matrix are neighbours. With 4 bits, up to 48 bytes behind a row
// are read too; they meet zeros.
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
  auto fetch = [&] {
    for (int j = 0; j < NB; ++j) {
      _mm_prefetch(next[j], _MM_HINT_T0);
      next[j] += step;
    }
  };
  const uint8_t* q[MB];
  const float *x_scales[MB], *x_offsets[MB];
  for (int m = 0; m < MB; ++m) {
    q[m] = x.q + token[m] * x.row_bytes;
    x_scales[m] = x.scales + token[m] * x.ld;
    x_offsets[m] = x.offsets + token[m] * x.ld;
  }
  vf totals[MB][NB];
  clear(totals);
  float factors[MB][NB][2 * kWidth];  // of the second half nothing is used, but spread() reads it
  auto add_block = [&](int64_t b, const vi (&sums)[MB][NB]) {
    for (int m = 0; m < MB; ++m) {
      for (int j = 0; j < NB; ++j) {
        totals[m][j] = multiply_add(to_floats(sums[m][j]), splat(factors[m][j][b]), totals[m][j]);
      }
    }
  };
  for (int64_t b0 = 0; b0 < blocks; b0 += kWidth) {
    block_factors<BITS, MB, NB>(scales, zeros, x_scales, x_offsets, b0, factors, totals);
    if constexpr (BITS == 4) {
      for (int64_t b = b0; b < std::min<int64_t>(blocks, b0 + kWidth); b += kMaxBlock / BLOCK) {
        fetch();
        for (int j = 0; j < NB; ++j) {
          add_nibbles<BLOCK>(w[j], q, factors, b - b0, j, totals);
          w[j] += kMaxBlock / 2;
        }
        for (int m = 0; m < MB; ++m) q[m] += kMaxBlock;
      }
    } else {
      for (int64_t b = b0; b < std::min<int64_t>(whole, b0 + kWidth); ++b) {
        if (kBytes >= kLine || b % (kLine / kBytes) == 0) {
          for (int i = 0; i < kBytes; i += kLine) fetch();
        }
        vi sums[MB][NB];
        block_sums(w, q, BLOCK, sums);
        for (int j = 0; j < NB; ++j) w[j] += kBytes;
        for (int m = 0; m < MB; ++m) q[m] += 2 * BLOCK;
        add_block(b - b0, sums);
      }
    }
  }
  if (BITS == 8 && whole < blocks) {
    vi sums[MB][NB];
    block_sums(w, q, kp - whole * BLOCK, sums);
    add_block(whole % kWidth, sums);
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

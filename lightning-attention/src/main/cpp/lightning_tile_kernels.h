// Lightning attention, forward, of bf16 inputs on AMX tiles: the chunks of lightning_forward_kernels.h with products of
// bf16 pairs, summed in fp32.
//
//   P_ij = bf16(scale lambda^(i-j) q_i . k_j)  for j <= i
//   O    = P V + scale diag(lambda^(i+1)) Q (S_high + S_low)
//   S'   = lambda^m S + K^T (W_high + W_low),  W_j = lambda^(m-1-j) v_j
//
// States stay in fp32, and what passes through them is multiplied in two bf16 parts, to 2^-16: the error of one part
// would be carried on, and for slow heads be of one sign (lambda^j v rounds back to v). Only P, which ends in its
// chunk, is rounded to bf16, as every implementation in bf16 does. SiLU gives bf16 again. Other decays multiply sums.
//
// All four products are made of blocks of 32 x 32 sums: two by two tiles, 4 multiplications for 4 loaded tiles, 8 for 6
// with two parts. A multiplication takes 16 cycles, a load 8. For D = Dk = Dv = 128 and m = 64: 608 multiplications a
// chunk, 152 cycles a token. See docs/notes/lightning-attention.md for what is around them.
#if L4J_WIDTH == 16

// sums = left right, or left (right + low); `row` from a row of tiles of the left operand to the next, `step` from a
// block of depth of the right ones to the next.
template <bool Low>
static inline void multiply_block(const float* left, int64_t row, const float* right, const float* low, int64_t step,
                                  int64_t depth, float* sums) {
  tiles::zero<0>();
  tiles::zero<1>();
  tiles::zero<2>();
  tiles::zero<3>();
  auto add = [](const float* b) __attribute__((always_inline)) {
    tiles::load<6>(b, 16);
    tiles::load<7>(b + kTile, 16);
    tiles::multiply_add<0, 4, 6>();
    tiles::multiply_add<1, 4, 7>();
    tiles::multiply_add<2, 5, 6>();
    tiles::multiply_add<3, 5, 7>();
  };
  for (int64_t k = 0; k < depth; ++k) {
    tiles::load<4>(left + k * kTile, 16);
    tiles::load<5>(left + row + k * kTile, 16);
    add(right + k * step);
    if constexpr (Low) add(low + k * step);
  }
  tiles::store<0>(sums, kBlock);
  tiles::store<1>(sums + 16, kBlock);
  tiles::store<2>(sums + 16 * kBlock, kBlock);
  tiles::store<3>(sums + 16 * kBlock + 16, kBlock);
}

// Calls make(i, sums) for all i, and use(i, sums) one step behind it: vectors work on the sums of one block while the
// tiles make those of the next.
template <class Make, class Use>
static inline void one_behind(const TileChunk& x, int64_t count, Make&& make, Use&& use) {
  for (int64_t i = 0; i <= count; ++i) {
    if (i < count) make(i, x.sums[i & 1]);
    if (i > 0) use(i - 1, x.sums[(i - 1) & 1]);
  }
}

// P of token blocks b and a <= b from the products of queries and keys.
static inline void decay_scores(const TileChunk& x, int64_t b, int64_t a, int64_t m, const TileDecay& decay,
                                const float* products) {
  vi lanes;
  for (int l = 0; l < kWidth; ++l) lanes[l] = l;
  for (int i = 0; i < std::min(kBlock, m - b * kBlock); ++i) {
    const float* factors = decay.row(b * kBlock + i) + a * kBlock;
    bf16* to = TileChunk::left_row(x.p, kTokenBlocks, b * kBlock + i, a);
    for (int c = 0; c < kBlock; c += kWidth) {
      vf p = load(products + i * kBlock + c) * load(factors + c);
      // Chosen, not multiplied, so that a NaN of a later token stays out.
      store(to + c, a < b ? p : lanes + c <= i ? p : vf{});
    }
  }
}

static inline void scores(const TileChunk& x, int64_t m, const TileDecay& decay) {
  int64_t queries[kTokenBlocks * (kTokenBlocks + 1) / 2], keys[kTokenBlocks * (kTokenBlocks + 1) / 2], count = 0;
  for (int64_t b = 0; b < blocks(m); ++b) {
    for (int64_t a = 0; a <= b; ++a, ++count) {
      queries[count] = b;
      keys[count] = a;
    }
  }
  one_behind(
      x, count,
      [&](int64_t i, float* sums) {
        multiply_block<false>(x.q + queries[i] * 2 * x.K * kTile, x.K * kTile, x.k_right + keys[i] * 2 * kTile, nullptr,
                              2 * kTokenBlocks * kTile, x.K, sums);
      },
      [&](int64_t i, float* sums) { decay_scores(x, queries[i], keys[i], m, decay, sums); });
}

// sums += P V for the values that x.v leaves out, of token block b and channel block e.
static void add_wild_values(const PrefillHead& h, const TileChunk& x, int64_t t, int64_t m, int64_t b, int64_t e,
                            float* within) {
  int64_t end = std::min(m, (b + 1) * kBlock);
  for (int64_t j = 0; j < end; ++j) {
    for (int64_t c = 0; c < kBlock; c += kWidth) {
      int64_t column = e * kBlock + c;
      vf value = read(tokens_at(h.v, t + j) + column, h.Dv - column, h.as_is.with_silu);
      vi bad = not_finite(value);
      if (!any(bad)) continue;
      for (int64_t i = std::max(j, b * kBlock); i < end; ++i) {
        float p = l4j::avx512::value(TileChunk::left_row(x.p, kTokenBlocks, i, j / kBlock)[j % kBlock]);
        float* sums = within + (i - b * kBlock) * kBlock + c;
        store(sums, bad ? load(sums) + value * p : load(sums));
      }
    }
  }
}

// Outputs: for token block b and channel block e, first the sums within the chunk, then, if there is one, those with
// the state before it.
template <class T>
static inline void tile_outputs(const PrefillHead& h, const TileChunk& x, bool state, bool wild, int64_t t, int64_t m,
                                const TileDecay& decay, T* out) {
  int64_t rows = blocks(m);
  constexpr int64_t kAcross = kBlock * kBlock;
  auto make = [&](int64_t n, float* sums) {
    int64_t b = n % rows, e = n / rows;
    multiply_block<false>(x.p + b * 2 * kTokenBlocks * kTile, kTokenBlocks * kTile, x.v + e * 2 * kTile, nullptr,
                          2 * x.E * kTile, b + 1, sums);
    if (state) {
      multiply_block<true>(x.q + b * 2 * x.K * kTile, x.K * kTile, x.s_high + e * 2 * kTile, x.s_low + e * 2 * kTile,
                           2 * x.E * kTile, x.K, sums + kAcross);
    }
  };
  auto use = [&](int64_t n, float* sums) {
    int64_t b = n % rows, e = n / rows;
    if (wild) add_wild_values(h, x, t, m, b, e, sums);
    for (int64_t i = 0; i < std::min(kBlock, m - b * kBlock); ++i) {
      T* to = out + (b * kBlock + i) * h.out.stride + e * kBlock;
      for (int64_t c = 0; c < kBlock && e * kBlock + c < h.Dv; c += kWidth) {
        const float* within = sums + i * kBlock + c;
        vf sum = load(within);
        if (state) sum = load(within + kAcross) * decay.inward[b * kBlock + i] + sum;
        store_next(to + c, sum, h.Dv - e * kBlock - c);
      }
    }
  };
  one_behind(x, rows * x.E, make, use);
}

// Two rows of a state, side by side in depth, into its right operand.
static inline void split_state(const TileChunk& x, int64_t d, int64_t column, vf first, vf second) {
  Parts a(first), b(second);
  int64_t at = (d / kBlock * 2 * x.E + column / kWidth) * kTile + d % kBlock / 2 * kWidth;
  store(x.s_high + at, pairs(a.high, b.high));
  store(x.s_low + at, pairs(a.low, b.low));
}

// advance() of chunk_tiles.h; if there are outputs, the new state is split for them in the same pass.
template <bool Split>
static void advance_tiles(const PrefillHead& h, const TileChunk& x, const Carried& s, int64_t m, int64_t before) {
  Factor decay(h.log_decay, m);
  float fade = static_cast<float>(std::exp(h.log_decay * (before + m)));
  auto make = [&](int64_t n, float* sums) {
    int64_t d = n / x.E, e = n % x.E;
    multiply_block<true>(x.k_left + d * 2 * kTokenBlocks * kTile, kTokenBlocks * kTile, x.v_high + e * 2 * kTile,
                         x.v_low + e * 2 * kTile, 2 * x.E * kTile, blocks(m), sums);
  };
  auto use = [&](int64_t n, const float* sums) {
    int64_t d = n / x.E * kBlock, e = n % x.E * kBlock;
    for (int64_t r = 0; r < kBlock; r += 2) {
      for (int64_t c = 0; c < kBlock; c += kWidth) {
        vf now[2];
        for (int64_t i = 0; i < 2; ++i) {
          int64_t at = (d + r + i) * x.ld + e + c;
          now[i] = load(sums + (r + i) * kBlock + c);
          if (before > 0) {
            vf old = load(s.local + at);
            now[i] = old * decay.high + (old * decay.low + now[i]);
          }
          store(s.local + at, now[i]);
          if (s.base == nullptr) continue;
          now[i] = now[i] + load(s.base + at) * fade;
          store(s.total + at, now[i]);
        }
        if constexpr (Split) split_state(x, d + r, e + c, now[0], now[1]);
      }
    }
  };
  one_behind(x, x.K * x.E, make, use);
}

static void prefill_head_tiles(const PrefillHead& h, const TileChunk& x) {
  TileDecay decay(h.log_decay, h.as_query.factor, h.T);
  Carried s{x.states[0], x.states[1], x.states[2], nullptr, x.ld};
  if (h.initial != nullptr) {
    std::memset(s.spare, 0, x.K * kBlock * x.ld * 4);
    load_state(h.initial, h.ld, h.Dk, h.Dv, s.spare);
    s.base = s.spare;
    for (int64_t d = 0; d < x.K * kBlock; d += 2) {
      for (int64_t e = 0; e < x.E * kBlock; e += kWidth) {
        split_state(x, d, e, load(s.base + d * x.ld + e), load(s.base + (d + 1) * x.ld + e));
      }
    }
  }
  walk(h, s, kTileTokens, [&](int64_t t, int64_t m, int64_t before) {
    load_keys(h, x, t, m);
    bool wild = load_values(h, x, t, m, decay);
    if (!h.with_out) return advance_tiles<false>(h, x, s, m, before);
    load_queries(h, x, t, m);
    scores(x, m, decay);
    bool state = s.sum(before == 0) != nullptr;
    with_type(h.out, t, [&](auto* out) { tile_outputs(h, x, state, wild, t, m, decay, out); });
    advance_tiles<true>(h, x, s, m, before);
  });
}

// prefill(), on tiles if all inputs are bf16.
static bool prefill_tiles(const PrefillCall& c, const Sequence* sequences, int64_t from, int64_t to) {
  bool without_out = c.out.address == 0;
  if (c.k.type != kBF16 || c.v.type != kBF16 || (!without_out && (c.q.type != kBF16 || c.out.type == kF16))) {
    return prefill(c, sequences, from, to);
  }
  int64_t width = slice_width(c.dv, c.slices);
  float* memory = Scratch::of_thread().floats(TileChunk::floats(c.dk, width));
  if (memory == nullptr) return false;
  tiles::Session session;
  for_heads(c, sequences, from, to, [=](const PrefillHead& h) {
    prefill_head_tiles(h, TileChunk(memory, h.Dk, h.Dv));
  });
  return true;
}

#endif

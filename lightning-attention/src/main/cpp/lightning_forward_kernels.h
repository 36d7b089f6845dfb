// Lightning attention, forward: S_t = lambda S_(t-1) + k_t^T v_t, o_t = scale * q_t S_t, for one head.
//
// A sequence is taken in segments, a segment in chunks of m <= kChunk tokens. With S the state before the chunk
// and i, j = 0..m-1:
//
//   P_ij = q_i . k_j * lambda^(i-j)  for j <= i
//   O    = P V + diag(lambda^(i+1)) Q S
//   S'   = lambda^m S + K^T diag(lambda^(m-1-j)) V
//
// Every exponent is >= 0, so every factor is <= 1. A chunk is loaded once into the thread's scratch memory (widened,
// SiLU and scale on the way, rows padded to whole vectors); K also transposed, so that all three products have
// vectors on their right. The state stays in scratch memory from the first chunk to the last.
// Numerics: fp32 products and sums, powers from double, lambda^m in two floats. Cost per token for D = Dk = Dv:
// 4 D^2 + 2 (m+1) D operations, 16 D bytes in fp32; for D = 128, m = 32: 74,000 operations. Bound by arithmetic.
//
// A slice of the value columns of a head is a head of its own, but for P, which each slice computes.

// One head (or a slice of its value columns) of one sequence.
struct PrefillHead {
  Rows q, k, v, out;
  bool with_out;
  double log_decay;
  Reading as_query, as_is;
  int64_t T, Dk, Dv, segment;
  // States have rows of `ld` floats. All may be null.
  const float* initial;
  float* final;
  int64_t ld;
  // A snapshot after `until` tokens, then every `every`; rows of ld floats, `apart` floats from one to the next.
  // Without memory for them chunks end there all the same, so that the last state is the same bits.
  float* snapshots;
  int64_t until, every, apart;
};

// Scratch memory of a prefill, in floats: q, k [kChunk][dk], k^T [Dk][kTokens], v, o [kChunk][dv], P, three states
// [Dk][dv], where dk, dv are row strides.
struct ForwardChunk {
  int64_t dk, dv;
  float *q, *k, *v, *o, *p, *kt, *states[3];

  static int64_t floats(int64_t Dk, int64_t Dv) {
    int64_t dk = leading(Dk), dv = leading(Dv);
    return kChunk * (2 * dk + 2 * dv + kTokens) + Dk * (kTokens + 3 * dv);
  }
  ForwardChunk(float* at, int64_t Dk, int64_t Dv) : dk(leading(Dk)), dv(leading(Dv)) {
    q = at;
    k = q + kChunk * dk;
    v = k + kChunk * dk;
    o = v + kChunk * dv;
    p = o + kChunk * dv;
    kt = p + kChunk * kTokens;
    for (int i = 0; i < 3; ++i) states[i] = kt + Dk * kTokens + i * Dk * dv;
  }
};

// O = diag(lambda^(i+1)) Q S + P V; S may be null for zeros.
static inline void chunk_outputs(Ahead& ahead, const PrefillHead& h, const ForwardChunk& x, const float* s, int64_t m,
                                 const Powers& powers, float* out, int64_t ldo) {
  for_tiles(ahead, m, padded(h.Dv), [&](auto R, auto C, int64_t i, int64_t e) __attribute__((always_inline)) {
    vf sums[R.value][C.value];
    clear(sums);
    if (s != nullptr) {
      add_product(sums, x.q + i * x.dk, x.dk, 1, s + e, x.dv, h.Dk);
      for (int r = 0; r < R.value; ++r) {
        for (int c = 0; c < C.value; ++c) sums[r][c] *= powers.up[i + r + 1];
      }
    }
    add_product(sums, x.p + i * kTokens, kTokens, 1, x.v + e, x.dv, i);
    add_lower_corner(sums, x.p + i * kTokens + i, kTokens, x.v + i * x.dv + e, x.dv);
    for (int r = 0; r < R.value; ++r) store_row(out + (i + r) * ldo, sums[r], e, h.Dv);
  });
}

// The outputs of tokens t to t + m; k and v are loaded.
static inline void write_outputs(Ahead& ahead, const PrefillHead& h, const ForwardChunk& x, const float* s, int64_t t,
                                 int64_t m, const Powers& powers) {
  load_rows(h.q, t, m, h.Dk, h.as_query, x.q);
  transpose(x.k, m, h.Dk, x.dk, x.kt, kTokens);
  lower_product(ahead, x.q, x.dk, x.kt, h.Dk, m, x.p);
  decay_lower(x.p, m, powers);
  if (h.out.type == kF32) {
    chunk_outputs(ahead, h, x, s, m, powers, reinterpret_cast<float*>(h.out.row(t)), h.out.stride);
  } else {
    chunk_outputs(ahead, h, x, s, m, powers, x.o, x.dv);
    store_rows(x.o, h.out, t, m, h.Dv);
  }
}

// Walks a head: its segments in chunks of `longest` tokens at most, its snapshots, its last state. `chunk` gets the
// first token of a chunk, their number, and how many of its segment came before; it takes s from the state before the
// chunk to the one behind it. Rows of states in scratch memory are leading(Dv) apart.
template <class Chunk>
static inline void walk(const PrefillHead& h, Carried& s, int64_t longest, Chunk&& chunk) {
  int64_t until = h.until;
  float* snapshot = h.snapshots;
  for (int64_t from = 0; from < h.T; from += h.segment) {
    int64_t to = std::min(from + h.segment, h.T);
    for (int64_t t = from, m; t < to; t += m) {
      m = std::min({longest, to - t, until - t});
      chunk(t, m, t - from);
      if (t + m == until) {
        if (snapshot != nullptr) {
          store_state(s.sum(false), snapshot, h.ld, h.Dk, h.Dv);
          snapshot += h.apart;
        }
        until += h.every;
      }
    }
    s.enter_next();
  }
  if (h.final != nullptr) store_or_clear(s.base, h.final, h.ld, h.Dk, h.Dv);
}

// What the chunk that starts at token t reads and writes.
static inline Ahead rows_ahead(const PrefillHead& h, int64_t t) {
  int64_t m = std::min(kChunk, h.T - t);
  Ahead ahead;
  ahead.add(h.k, t, m, h.Dk);
  ahead.add(h.v, t, m, h.Dv);
  if (h.with_out) {
    ahead.add(h.q, t, m, h.Dk);
    ahead.add(h.out, t, m, h.Dv);
  }
  return ahead;
}

// All tokens of a head through scratch memory.
static void prefill_head(const PrefillHead& h, ForwardChunk& x) {
  Powers powers(h.log_decay, std::min(h.T, kChunk));
  Carried s{x.states[0], x.states[1], x.states[2], nullptr, x.dv};
  if (h.initial != nullptr) {
    load_state(h.initial, h.ld, h.Dk, h.Dv, s.spare);
    s.base = s.spare;
  }
  walk(h, s, kChunk, [&](int64_t t, int64_t m, int64_t before) {
    load_rows(h.k, t, m, h.Dk, h.as_is, x.k);
    load_rows(h.v, t, m, h.Dv, h.as_is, x.v);
    Ahead ahead = rows_ahead(h, t + m);
    if (h.with_out) write_outputs(ahead, h, x, s.sum(before == 0), t, m, powers);
    scale_rows(x.k, m, h.Dk, powers.up + m - 1, -1);
    advance(ahead, s, h.Dk, padded(h.Dv), h.log_decay, before == 0, before + m, x.k, x.dk, x.v, x.dv, m);
  });
}

// Calls run(PrefillHead) for units [from, to) of slices x heads x sequences.
template <class Run>
static inline void for_heads(const PrefillCall& c, const Sequence* sequences, int64_t from, int64_t to, Run&& run) {
  int64_t width = slice_width(c.dv, c.slices);
  for (int64_t unit = from; unit < to; ++unit) {
    const Sequence& s = sequences[unit % c.sequences];
    int64_t head = unit / c.sequences / c.slices, column = unit / c.sequences % c.slices * width;
    auto state = [&](int64_t pool, int64_t entry) -> float* {
      if (pool == 0 || entry < 0) return nullptr;
      return reinterpret_cast<float*>(pool) + (entry * c.heads + head) * c.dk * c.dv + column;
    };
    Reading as_is{c.silu != 0, 1}, as_query{c.silu != 0, static_cast<float>(c.scale)};
    PrefillHead h{Rows(c.q, s.batch, s.first, head),
                  Rows(c.k, s.batch, s.first, head),
                  Rows(c.v, s.batch, s.first, head, column),
                  Rows(c.out, s.batch, s.first, head, column),
                  c.out.address != 0,
                  reinterpret_cast<const double*>(c.log_decay)[head],
                  as_query,
                  as_is,
                  s.tokens,
                  c.dk,
                  std::min(width, c.dv - column),
                  c.segment,
                  state(c.initial, s.initial),
                  state(c.final, s.final),
                  c.dv,
                  state(c.snapshots, s.snapshot),
                  s.snapshot < 0 ? s.tokens + 1 : s.until_snapshot,
                  c.snapshot_every,
                  c.heads * c.dk * c.dv};
    if (h.Dv > 0) run(h);
  }
}

// Units [from, to); returns whether there was scratch memory.
static bool prefill(const PrefillCall& c, const Sequence* sequences, int64_t from, int64_t to) {
  float* memory = Scratch::of_thread().floats(ForwardChunk::floats(c.dk, slice_width(c.dv, c.slices)));
  if (memory == nullptr) return false;
  for_heads(c, sequences, from, to, [=](const PrefillHead& h) {
    ForwardChunk x(memory, h.Dk, h.Dv);
    prefill_head(h, x);
  });
  return true;
}

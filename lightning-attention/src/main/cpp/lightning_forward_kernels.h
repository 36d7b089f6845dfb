// Lightning attention, forward: S_t = lambda S_(t-1) + k_t^T v_t, o_t = scale * q_t S_t, for one head.
//
// Prefill goes through the tokens in chunks of m <= kChunk. With S the state before the chunk and i, j = 0..m-1:
//
//   P_ij = q_i . k_j * lambda^(i-j)  for j <= i
//   O    = P V + diag(lambda^(i+1)) Q S
//   S'   = lambda^m S + K^T diag(lambda^(m-1-j)) V
//
// Every exponent is >= 0, so every factor is <= 1. A chunk is loaded once into the thread's scratch memory (SiLU
// and scale on the way, rows padded to whole vectors); K also transposed, so that all three products have vectors
// on their right. The state is copied to scratch memory and back once a call.
// Numerics: fp32 products and sums, powers from double, lambda^m in two floats. Cost per token for D = Dk = Dv:
// 4 D^2 + 2 (m+1) D operations, 16 D bytes; for D = 128, m = 64: 82,000 operations. Bound by arithmetic.
//
// Decode takes one token: a single pass over the state, rows of it in groups of four:
//
//   S_i = lambda S_i + k_i v ;  o += q_i S_i
//
// 8 Dk Dv bytes for 5 Dk Dv operations: bound by memory.

// Scratch memory of a prefill, in floats: q, k [kChunk][dk], k^T [Dk][kTokens], v [kChunk][dv], P, state
// [Dk][dv], where dk, dv are row strides.
struct ForwardChunk {
  int64_t Dk, Dv, dk, dv;
  float *q, *k, *v, *p, *kt, *s;

  static int64_t floats(int64_t Dk, int64_t Dv) {
    int64_t dk = leading(Dk), dv = leading(Dv);
    return kChunk * (2 * dk + dv + kTokens) + Dk * (kTokens + dv);
  }
  ForwardChunk(float* at, int64_t Dk, int64_t Dv) : Dk(Dk), Dv(Dv), dk(leading(Dk)), dv(leading(Dv)) {
    q = at;
    k = q + kChunk * dk;
    v = k + kChunk * dk;
    p = v + kChunk * dv;
    kt = p + kChunk * kTokens;
    s = kt + Dk * kTokens;
  }
};

// O = diag(lambda^(i+1)) Q S + P V
static inline void chunk_outputs(const ForwardChunk& x, int64_t m, const Powers& powers,
                                 float* out, int64_t ldo) {
  for_tiles(m, padded(x.Dv), [&](auto R, auto C, int64_t i, int64_t e) __attribute__((always_inline)) {
    vf sums[R.value][C.value];
    clear(sums);
    add_product(sums, x.q + i * x.dk, x.dk, 1, x.s + e, x.dv, x.Dk);
    for (int r = 0; r < R.value; ++r) {
      for (int c = 0; c < C.value; ++c) sums[r][c] *= powers.up[i + r + 1];
    }
    add_product(sums, x.p + i * kTokens, kTokens, 1, x.v + e, x.dv, i);
    add_lower_corner(sums, x.p + i * kTokens + i, kTokens, x.v + i * x.dv + e, x.dv);
    for (int r = 0; r < R.value; ++r) store_row(out + (i + r) * ldo, sums[r], e, x.Dv);
  });
}

// One head of a prefill; returns whether there was scratch memory.
static bool prefill(const float* q, int64_t ldq, const float* k, int64_t ldk, const float* v, int64_t ldv,
                    double log_decay, float scale, bool with_silu, float* state, float* out, int64_t ldo, int64_t T,
                    int64_t Dk, int64_t Dv) {
  float* memory = Scratch::of_thread().floats(ForwardChunk::floats(Dk, Dv));
  if (memory == nullptr) return false;
  ForwardChunk x(memory, Dk, Dv);
  Powers powers(log_decay, std::min(T, kChunk));
  load_rows(state, Dv, Dk, Dv, false, 1, x.s);
  for (int64_t t = 0; t < T; t += kChunk) {
    int64_t m = std::min(kChunk, T - t);
    load_rows(q + t * ldq, ldq, m, Dk, with_silu, scale, x.q);
    load_rows(k + t * ldk, ldk, m, Dk, with_silu, 1, x.k);
    load_rows(v + t * ldv, ldv, m, Dv, with_silu, 1, x.v);
    transpose(x.k, m, Dk, x.dk, x.kt, kTokens);
    lower_product(x.q, x.dk, x.kt, Dk, m, x.p);
    decay_lower(x.p, m, powers);
    chunk_outputs(x, m, powers, out + t * ldo, ldo);
    scale_rows(x.k, m, Dk, powers.up + m - 1, -1);
    advance(x.s, x.dv, Dk, padded(Dv), Factor(log_decay, m), x.k, x.dk, x.v, x.dv, m);
  }
  for (int64_t d = 0; d < Dk; ++d) std::memcpy(state + d * Dv, x.s + d * x.dv, Dv * 4);
  return true;
}

// R rows of the state from row d on; o has room for whole vectors.
template <int R>
static inline void decode_rows(const float* q, const float* k, const float* v, Factor decay, float* state, float* o,
                               int64_t Dv) {
  int64_t e = 0;
  for (; e + kWidth <= Dv; e += kWidth) {
    vf value = load(v + e), sum = load(o + e);
    for (int r = 0; r < R; ++r) {
      float* at = state + r * Dv + e;
      vf old = load(at);
      vf now = old * decay.high + (old * decay.low + k[r] * value);
      store(at, now);
      sum += q[r] * now;
    }
    store(o + e, sum);
  }
  for (; e < Dv; ++e) {
    for (int r = 0; r < R; ++r) {
      float* at = state + r * Dv + e;
      *at = *at * decay.high + (*at * decay.low + k[r] * v[e]);
      o[e] += q[r] * *at;
    }
  }
}

// One head of one row; returns whether there was scratch memory.
static bool decode(const float* q, const float* k, const float* v, double log_decay, float scale, bool with_silu,
                   float* state, float* out, int64_t Dk, int64_t Dv) {
  int64_t dk = padded(Dk), dv = padded(Dv);
  float* memory = Scratch::of_thread().floats(2 * dk + 2 * dv);
  if (memory == nullptr) return false;
  float *qs = memory, *ks = qs + dk, *vs = ks + dk, *o = vs + dv;
  load_row(q, Dk, with_silu, scale, qs);
  load_row(k, Dk, with_silu, 1, ks);
  load_row(v, Dv, with_silu, 1, vs);
  std::memset(o, 0, dv * 4);
  Factor decay(log_decay, 1);
  int64_t d = 0;
  for (; d + 4 <= Dk; d += 4) decode_rows<4>(qs + d, ks + d, vs, decay, state + d * Dv, o, Dv);
  for (; d < Dk; ++d) decode_rows<1>(qs + d, ks + d, vs, decay, state + d * Dv, o, Dv);
  std::memcpy(out, o, Dv * 4);
  return true;
}

// Lightning attention, backward, for one head. G = dL/dO; R = dL/dS' is the adjoint of the state that leaves a
// chunk; P and S as in lightning_forward_kernels.h; dP_ij = G_i . v_j * lambda^(i-j) for j <= i. In a chunk:
//
//   dQ = diag(lambda^(i+1)) G S^T + dP K
//   dK = diag(lambda^(m-1-j)) V R^T + dP^T Q
//   dV = diag(lambda^(m-1-j)) K R + P^T G
//   R before the chunk = lambda^m R + Q^T diag(lambda^(i+1)) G
//
// dQ needs only states, dK and dV need only adjoints. So there are two scans, one forward with S^T, one backward
// with R, and no chunk state is kept: dP is computed twice instead (2 m Dv of some 8 D^2 + 10 m D operations).
//
// The gradient of log lambda sums each term of the chunk formulas times its exponent, so that all is local and
// nothing cancels however long the sequence:
//
//   sum_ij (i-j) P_ij (G_i . v_j) + sum_i (i+1) q_i . dQ(state)_i + sum_j (m-1-j) k_j . dK(state)_j
//   + m lambda^m <R, S>
//
// with dQ(state), dK(state) the first terms above. The last one pairs a state with an adjoint: only when this
// gradient is asked for, the states of the chunks are kept, Dk Dv floats each. Sums of this one are in double.

// Scratch memory, in floats: q, k [kChunk][dk], v, g [kChunk][dv], P, dP, k^T, v^T [.][kTokens], and a state or
// adjoint [Dk][dv] and its transpose [Dv][dk], where dk, dv are row strides.
struct BackwardChunk {
  int64_t dk, dv;
  float *q, *k, *v, *g, *p, *dp, *kt, *vt, *s, *st;

  static int64_t floats(int64_t Dk, int64_t Dv) {
    int64_t dk = leading(Dk), dv = leading(Dv);
    return 2 * kChunk * (dk + dv + kTokens) + Dk * (kTokens + dv) + Dv * (kTokens + dk);
  }
  BackwardChunk(float* at, int64_t Dk, int64_t Dv) : dk(leading(Dk)), dv(leading(Dv)) {
    q = at;
    k = q + kChunk * dk;
    v = k + kChunk * dk;
    g = v + kChunk * dv;
    p = g + kChunk * dv;
    dp = p + kChunk * kTokens;
    kt = dp + kChunk * kTokens;
    vt = kt + Dk * kTokens;
    s = vt + Dv * kTokens;
    st = s + Dk * dv;
  }
};

static inline double dot(const float* a, const float* b, int64_t n) {
  vf sums{};
  for (int64_t d = 0; d < n; d += kWidth) sums += load(a + d) * load(b + d);
  return sum(sums);
}

// gradient *= factor, and times silu'(x) = sigmoid(x) (1 + x (1 - sigmoid(x))) if the operator applied SiLU.
static inline void finish_rows(const BackwardHead& h, const float* x, int64_t ldx, float* gradient, int64_t ldd,
                               int64_t m, int64_t n, float factor) {
  if (!h.with_silu && factor == 1) return;
  for (int64_t i = 0; i < m; ++i) {
    const float* from = x + i * ldx;
    float* to = gradient + i * ldd;
    for (int64_t d = 0; d < n; d += kWidth) {
      int64_t rest = n - d;
      vf grad = (rest >= kWidth ? load(to + d) : load_part(to + d, rest)) * factor;
      if (h.with_silu) {
        vf raw = rest >= kWidth ? load(from + d) : load_part(from + d, rest);
        vf s = sigmoid(raw);
        grad *= s * (1.0f + raw * (1.0f - s));
      }
      if (rest >= kWidth) {
        store(to + d, grad);
      } else {
        store_part(to + d, grad, rest);
      }
    }
  }
}

// sum of weight(r) * row r . sums[r] over the rows of a tile
template <int R, int C, class Weight>
static inline double tile_lag(const vf (&sums)[R][C], const float* rows, int64_t ld, Weight weight) {
  double lag = 0;
  for (int r = 0; r < R; ++r) {
    vf products{};
    for (int c = 0; c < C; ++c) products += sums[r][c] * load(rows + r * ld + c * kWidth);
    lag += static_cast<double>(weight(r)) * sum(products);
  }
  return lag;
}

// The forward scan: dQ, and into `kept`, if given, the state (transposed, [Dv][dk]) before each chunk.
static double scan_states(const BackwardHead& h, const BackwardChunk& x, const Powers& powers, float* kept) {
  double lag = 0;
  load_rows(h.initial, h.Dv, h.Dk, h.Dv, false, 1, x.s);
  transpose(x.s, h.Dk, h.Dv, x.dv, x.st, x.dk);
  for (int64_t t = 0; t < h.T; t += kChunk) {
    int64_t m = std::min(kChunk, h.T - t);
    if (kept != nullptr) {
      load_rows(h.q + t * h.ldq, h.ldq, m, h.Dk, h.with_silu, h.scale, x.q);
      std::memcpy(kept + t / kChunk * h.Dv * x.dk, x.st, h.Dv * x.dk * 4);
    }
    load_rows(h.k + t * h.ldk, h.ldk, m, h.Dk, h.with_silu, 1, x.k);
    load_rows(h.v + t * h.ldv, h.ldv, m, h.Dv, h.with_silu, 1, x.v);
    load_rows(h.g + t * h.ldg, h.ldg, m, h.Dv, false, 1, x.g);
    transpose(x.v, m, h.Dv, x.dv, x.vt, kTokens);
    lower_product(x.g, x.dv, x.vt, h.Dv, m, x.dp);
    decay_lower(x.dp, m, powers);
    float* dq = h.dq + t * h.lddq;
    for_tiles(m, padded(h.Dk), [&](auto R, auto C, int64_t i, int64_t d) __attribute__((always_inline)) {
      vf sums[R.value][C.value];
      clear(sums);
      add_product(sums, x.g + i * x.dv, x.dv, 1, x.st + d, x.dk, h.Dv);
      for (int r = 0; r < R.value; ++r) {
        for (int c = 0; c < C.value; ++c) sums[r][c] *= powers.up[i + r + 1];
      }
      if (kept != nullptr) lag += tile_lag(sums, x.q + i * x.dk + d, x.dk, [i](int r) { return i + r + 1; });
      add_product(sums, x.dp + i * kTokens, kTokens, 1, x.k + d, x.dk, i);
      add_lower_corner(sums, x.dp + i * kTokens + i, kTokens, x.k + i * x.dk + d, x.dk);
      for (int r = 0; r < R.value; ++r) store_row(dq + (i + r) * h.lddq, sums[r], d, h.Dk);
    });
    finish_rows(h, h.q + t * h.ldq, h.ldq, dq, h.lddq, m, h.Dk, h.scale);
    scale_rows(x.v, m, h.Dv, powers.up + m - 1, -1);
    advance(x.st, x.dk, h.Dv, padded(h.Dk), Factor(h.log_decay, m), x.v, x.dv, x.k, x.dk, m);
  }
  return lag;
}

// out rows j = diag(lambda^(m-1-j)) left right + p^T below, tile by tile; returns the lag of the first term
// against `rows` if they are given.
static inline double adjoint_outputs(const float* left, int64_t ldl, const float* right, int64_t depth,
                                     const float* p, const float* below, int64_t width, int64_t m,
                                     const Powers& powers, const float* rows, float* out, int64_t ldo, int64_t n) {
  double lag = 0;
  for_tiles(m, padded(n), [&](auto R, auto C, int64_t j, int64_t d) __attribute__((always_inline)) {
    vf sums[R.value][C.value];
    clear(sums);
    add_product(sums, left + j * ldl, ldl, 1, right + d, width, depth);
    for (int r = 0; r < R.value; ++r) {
      for (int c = 0; c < C.value; ++c) sums[r][c] *= powers.up[m - 1 - j - r];
    }
    if (rows != nullptr) lag += tile_lag(sums, rows + j * width + d, width, [=](int r) { return m - 1 - j - r; });
    add_upper_corner(sums, p + j * kTokens + j, kTokens, below + j * width + d, width);
    int64_t next = j + R.value;
    add_product(sums, p + next * kTokens + j, 1, kTokens, below + next * width + d, width, m - next);
    for (int r = 0; r < R.value; ++r) store_row(out + (j + r) * ldo, sums[r], d, n);
  });
  return lag;
}

// The part of the gradient of log lambda that needs a state, an adjoint, or both score matrices of a chunk: its
// first and last sums. x.dp is not yet decayed.
static inline double chunk_lag(const BackwardHead& h, const BackwardChunk& x, const float* state, int64_t m) {
  double lag = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      lag += static_cast<double>(i - j) * x.p[i * kTokens + j] * x.dp[i * kTokens + j];
    }
  }
  double inner = 0;
  for (int64_t e = 0; e < h.Dv; ++e) inner += dot(state + e * x.dk, x.st + e * x.dk, h.Dk);
  return lag + m * std::exp(h.log_decay * m) * inner;
}

// The backward scan: dK, dV and the gradient of the initial state.
static double scan_adjoints(const BackwardHead& h, const BackwardChunk& x, const Powers& powers, const float* kept) {
  double lag = 0;
  std::memset(x.s, 0, h.Dk * x.dv * 4);
  if (h.d_final != nullptr) load_rows(h.d_final, h.Dv, h.Dk, h.Dv, false, 1, x.s);
  for (int64_t t = (h.T - 1) / kChunk * kChunk; t >= 0 && h.T > 0; t -= kChunk) {
    int64_t m = std::min(kChunk, h.T - t);
    load_rows(h.q + t * h.ldq, h.ldq, m, h.Dk, h.with_silu, h.scale, x.q);
    load_rows(h.k + t * h.ldk, h.ldk, m, h.Dk, h.with_silu, 1, x.k);
    load_rows(h.v + t * h.ldv, h.ldv, m, h.Dv, h.with_silu, 1, x.v);
    load_rows(h.g + t * h.ldg, h.ldg, m, h.Dv, false, 1, x.g);
    transpose(x.k, m, h.Dk, x.dk, x.kt, kTokens);
    transpose(x.v, m, h.Dv, x.dv, x.vt, kTokens);
    transpose(x.s, h.Dk, h.Dv, x.dv, x.st, x.dk);
    lower_product(x.q, x.dk, x.kt, h.Dk, m, x.p);
    lower_product(x.g, x.dv, x.vt, h.Dv, m, x.dp);
    decay_lower(x.p, m, powers);
    if (kept != nullptr) lag += chunk_lag(h, x, kept + t / kChunk * h.Dv * x.dk, m);
    decay_lower(x.dp, m, powers);
    const float* rows = kept == nullptr ? nullptr : x.k;
    float *dk = h.dk + t * h.lddk, *dv = h.dv + t * h.lddv;
    lag += adjoint_outputs(x.v, x.dv, x.st, h.Dv, x.dp, x.q, x.dk, m, powers, rows, dk, h.lddk, h.Dk);
    adjoint_outputs(x.k, x.dk, x.s, h.Dk, x.p, x.g, x.dv, m, powers, nullptr, dv, h.lddv, h.Dv);
    finish_rows(h, h.k + t * h.ldk, h.ldk, dk, h.lddk, m, h.Dk, 1);
    finish_rows(h, h.v + t * h.ldv, h.ldv, dv, h.lddv, m, h.Dv, 1);
    scale_rows(x.q, m, h.Dk, powers.up + 1, 1);
    advance(x.s, x.dv, h.Dk, padded(h.Dv), Factor(h.log_decay, m), x.q, x.dk, x.g, x.dv, m);
  }
  for (int64_t d = 0; d < h.Dk; ++d) std::memcpy(h.d_initial + d * h.Dv, x.s + d * x.dv, h.Dv * 4);
  return lag;
}

// Returns whether there was scratch memory.
static bool backward(const BackwardHead& h) {
  float* memory = Scratch::of_thread().floats(BackwardChunk::floats(h.Dk, h.Dv));
  if (memory == nullptr) return false;
  BackwardChunk x(memory, h.Dk, h.Dv);
  Powers powers(h.log_decay, std::min(h.T, kChunk));
  Scratch states;
  float* kept = nullptr;
  if (h.d_log != nullptr) {
    kept = states.floats(std::max<int64_t>(1, (h.T + kChunk - 1) / kChunk) * h.Dv * x.dk);
    if (kept == nullptr) return false;
  }
  double lag = scan_states(h, x, powers, kept);
  lag += scan_adjoints(h, x, powers, kept);
  if (h.d_log != nullptr) *h.d_log = lag;
  return true;
}

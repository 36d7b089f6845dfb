// Lightning attention, backward, for one chunk of one head. G = dL/dO; R = dL/dS' is the adjoint of the state that
// leaves a chunk; P and S as in lightning_forward_kernels.h; dP_ij = G_i . v_j * lambda^(i-j) for j <= i. In a chunk:
//
//   dQ = diag(lambda^(i+1)) G S^T + dP K
//   dK = diag(lambda^(m-1-j)) V R^T + dP^T Q
//   dV = diag(lambda^(m-1-j)) K R + P^T G
//   R before the chunk = lambda^m R + Q^T diag(lambda^(i+1)) G
//
// dQ needs only states, dK and dV need only adjoints. So there are two scans, one forward with S^T, one backward
// with R, and no chunk state is kept: dP is computed twice instead (2 m Dv of some 10 D^2 + 6 (m+1) D operations).
// Like the states, adjoints are carried segment by segment, see Carried.
//
// The gradient of log lambda sums each term of the chunk formulas times its exponent, so that all is local and
// nothing cancels however long the sequence:
//
//   sum_ij (i-j) P_ij (G_i . v_j) + sum_i (i+1) q_i . dQ(state)_i + sum_j (m-1-j) k_j . dK(state)_j
//   + m lambda^m <R, S>
//
// with dQ(state), dK(state) the first terms above. The last one pairs a state with an adjoint: only when this
// gradient is asked for, states are kept: those that enter the segments, and those of the chunks of one segment,
// which are computed once more. Sums of this one are in double.

// One head of one sequence. States and adjoints may be null: zeros, or not wanted.
struct BackwardHead {
  Rows q, k, v, g, dq, dk, dv;
  bool with_dq, with_dkv;
  double log_decay;
  Reading as_query, as_is;
  int64_t T, Dk, Dv, segment;
  const float *initial, *grad_final;
  float* grad_initial;
  double* grad_log;

  int64_t segments() const { return (T + segment - 1) / segment; }
};

// Scratch memory, in floats: q, k [kChunk][dk], v, g [kChunk][dv], P, dP, k^T, v^T [.][kTokens], results
// [kChunk][max(dk, dv)], and three states or adjoints [Dk][dv] or [Dv][dk] and a transpose, where dk, dv are row
// strides.
struct BackwardChunk {
  int64_t dk, dv;
  float *q, *k, *v, *g, *p, *dp, *kt, *vt, *result, *transposed, *states[3];

  static int64_t state_floats(int64_t Dk, int64_t Dv) { return std::max(Dk * leading(Dv), Dv * leading(Dk)); }
  static int64_t floats(int64_t Dk, int64_t Dv) {
    int64_t dk = leading(Dk), dv = leading(Dv);
    return kChunk * (2 * (dk + dv + kTokens) + std::max(dk, dv)) + (Dk + Dv) * kTokens + 4 * state_floats(Dk, Dv);
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
    result = vt + Dv * kTokens;
    transposed = result + kChunk * std::max(dk, dv);
    for (int i = 0; i < 3; ++i) states[i] = transposed + (i + 1) * state_floats(Dk, Dv);
  }
  Carried carried(int64_t ld) const { return Carried{states[0], states[1], states[2], nullptr, ld}; }
};

static inline double dot(const float* a, const float* b, int64_t n) {
  vf sums{};
  for (int64_t d = 0; d < n; d += kWidth) sums += load(a + d) * load(b + d);
  return sum(sums);
}

// Tokens t to t + m of a gradient: factor * rows, and times silu'(x) = sigmoid(x) (1 + x (1 - sigmoid(x))) if the
// operator applied SiLU, rounded to the gradient's type.
static inline void finish_rows(const float* rows, int64_t ld, const Rows& x, const Rows& gradient, int64_t t,
                               int64_t m, int64_t n, Reading how) {
  with_type(gradient, t, [&](auto* to) {
    with_type(x, t, [&](auto* raw) {
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t d = 0; d < n; d += kWidth) {
          vf grad = load(rows + i * ld + d) * how.factor;
          if (how.with_silu) {
            vf value = load_next(raw + i * x.stride + d, n - d);
            vf s = sigmoid(value);
            grad *= s * (1.0f + value * (1.0f - s));
          }
          store_next(to + i * gradient.stride + d, grad, n - d);
        }
      }
    });
  });
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

// Rows i of the result = diag(lambda^(i+1)) G S^T + dP K, and the lag of the first term if it is wanted; S^T may
// be null for zeros.
static inline double query_gradients(Ahead& ahead, const BackwardHead& h, const BackwardChunk& x, const float* st,
                                     int64_t m, const Powers& powers) {
  double lag = 0;
  for_tiles(ahead, m, padded(h.Dk), [&](auto R, auto C, int64_t i, int64_t d) __attribute__((always_inline)) {
    vf sums[R.value][C.value];
    clear(sums);
    if (st != nullptr) {
      add_product(sums, x.g + i * x.dv, x.dv, 1, st + d, x.dk, h.Dv);
      for (int r = 0; r < R.value; ++r) {
        for (int c = 0; c < C.value; ++c) sums[r][c] *= powers.up[i + r + 1];
      }
      if (h.grad_log != nullptr) {
        lag += tile_lag(sums, x.q + i * x.dk + d, x.dk, [i](int r) { return i + r + 1; });
      }
    }
    add_product(sums, x.dp + i * kTokens, kTokens, 1, x.k + d, x.dk, i);
    add_lower_corner(sums, x.dp + i * kTokens + i, kTokens, x.k + i * x.dk + d, x.dk);
    for (int r = 0; r < R.value; ++r) store_row(x.result + (i + r) * x.dk, sums[r], d, padded(h.Dk));
  });
  return lag;
}

// Rows j of the result = diag(lambda^(m-1-j)) left right + p^T below, tile by tile; returns the lag of the first
// term against `rows` if they are given. `right` may be null for zeros.
static inline double adjoint_outputs(Ahead& ahead, const float* left, int64_t ldl, const float* right,
                                     int64_t depth, const float* p, const float* below, int64_t width, int64_t m,
                                     const Powers& powers, const float* rows, float* result, int64_t n) {
  double lag = 0;
  for_tiles(ahead, m, padded(n), [&](auto R, auto C, int64_t j, int64_t d) __attribute__((always_inline)) {
    vf sums[R.value][C.value];
    clear(sums);
    if (right != nullptr) {
      add_product(sums, left + j * ldl, ldl, 1, right + d, width, depth);
      for (int r = 0; r < R.value; ++r) {
        for (int c = 0; c < C.value; ++c) sums[r][c] *= powers.up[m - 1 - j - r];
      }
      if (rows != nullptr) {
        lag += tile_lag(sums, rows + j * width + d, width, [=](int r) { return m - 1 - j - r; });
      }
    }
    add_upper_corner(sums, p + j * kTokens + j, kTokens, below + j * width + d, width);
    int64_t next = j + R.value;
    add_product(sums, p + next * kTokens + j, 1, kTokens, below + next * width + d, width, m - next);
    for (int r = 0; r < R.value; ++r) store_row(result + (j + r) * width, sums[r], d, padded(n));
  });
  return lag;
}

// The part of the gradient of log lambda that needs a state, an adjoint, or both score matrices of a chunk: its
// first and last sums. x.dp is not yet decayed; the adjoint may be null for zeros.
static inline double chunk_lag(const BackwardHead& h, const BackwardChunk& x, const float* state,
                               const float* adjoint, int64_t m) {
  double lag = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      lag += static_cast<double>(i - j) * x.p[i * kTokens + j] * x.dp[i * kTokens + j];
    }
  }
  if (adjoint == nullptr) return lag;
  double inner = 0;
  for (int64_t e = 0; e < h.Dv; ++e) inner += dot(state + e * x.dk, adjoint + e * x.dk, h.Dk);
  return lag + m * std::exp(h.log_decay * m) * inner;
}

// dK and dV of tokens t to t + m, given the adjoint R of the state behind them (null for zeros).
static inline double key_value_gradients(Ahead& ahead, const BackwardHead& h, const BackwardChunk& x,
                                         const Powers& powers, const float* r, const float* state, int64_t t,
                                         int64_t m) {
  double lag = 0;
  load_rows(h.k, t, m, h.Dk, h.as_is, x.k);
  load_rows(h.v, t, m, h.Dv, h.as_is, x.v);
  transpose(x.k, m, h.Dk, x.dk, x.kt, kTokens);
  transpose(x.v, m, h.Dv, x.dv, x.vt, kTokens);
  if (r != nullptr) transpose(r, h.Dk, h.Dv, x.dv, x.transposed, x.dk);
  const float* rt = r == nullptr ? nullptr : x.transposed;
  lower_product(ahead, x.q, x.dk, x.kt, h.Dk, m, x.p);
  lower_product(ahead, x.g, x.dv, x.vt, h.Dv, m, x.dp);
  decay_lower(x.p, m, powers);
  if (state != nullptr) lag += chunk_lag(h, x, state, rt, m);
  decay_lower(x.dp, m, powers);
  const float* rows = state == nullptr ? nullptr : x.k;
  lag += adjoint_outputs(ahead, x.v, x.dv, rt, h.Dv, x.dp, x.q, x.dk, m, powers, rows, x.result, h.Dk);
  finish_rows(x.result, x.dk, h.k, h.dk, t, m, h.Dk, h.as_is);
  adjoint_outputs(ahead, x.k, x.dk, r, h.Dk, x.p, x.g, x.dv, m, powers, nullptr, x.result, h.Dv);
  finish_rows(x.result, x.dv, h.v, h.dv, t, m, h.Dv, h.as_is);
  return lag;
}


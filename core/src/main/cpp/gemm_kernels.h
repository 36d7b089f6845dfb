// out[m, n] = sum_k a[m, k] * w[n, k]: fp32 activations times weights stored row by row (nn.Linear), fp32,
// bf16 or fp16, widened in registers. Accumulation fp32, one order for every blocking: lane l of a vector
// adds k = l, l + W, ..., then the lanes are folded, then the tail; so a result depends on K and the vector
// width alone, not on M, N, or how the work was split.
//
// Blocks of 4 rows of a times 3 rows of w: 12 sums in registers, 7 loads for 12 multiply-adds; the last 1 to 3
// rows of a take 8 rows of w at a time, so that enough sums are under way to hide the latency of the
// multiply-add. Weights are read once for each tile of kTileRows activations. The rows of w behind those at hand
// are fetched line after line, as they lie in memory: hardware does not look from one short row to the next, and is led
// astray by several at once.

constexpr int64_t kTileRows = 32;

template <class W, int MB, int NB>
static inline void gemm_block(const float* a, int64_t lda, const W* w, int64_t ldw, float* out, int64_t ldo,
                              int64_t K) {
  vf acc[MB][NB];
  clear(acc);
  auto next = reinterpret_cast<const char*>(w + NB * ldw);
  int64_t k = 0;
  for (; k + kWidth <= K; k += kWidth) {
    _mm_prefetch(next, _MM_HINT_T0);
    next += NB * kWidth * sizeof(W);
    vf wv[NB];
    for (int j = 0; j < NB; ++j) wv[j] = load(w + j * ldw + k);
    for (int i = 0; i < MB; ++i) {
      vf av = load(a + i * lda + k);
      for (int j = 0; j < NB; ++j) acc[i][j] += av * wv[j];
    }
  }
  for (int i = 0; i < MB; ++i) {
    for (int j = 0; j < NB; ++j) {
      float s = sum(acc[i][j]);
      for (int64_t t = k; t < K; ++t) s += a[i * lda + t] * value(w[j * ldw + t]);
      out[i * ldo + j] = s;
    }
  }
}

// One row of a against kRows rows of w; the kRows after them are fetched into the cache.
constexpr int kRows = 8;
template <class W>
static inline void gemm_rows_ahead(const float* a, const W* w, int64_t ldw, float* out, int64_t K) {
  constexpr int64_t kVectors = std::max<int64_t>(1, 64 / sizeof(W) / kWidth);
  vf acc[kRows];
  for (int j = 0; j < kRows; ++j) acc[j] = vf{};
  auto next = reinterpret_cast<const char*>(w + kRows * ldw);
  int64_t k = 0;
  for (; k + kVectors * kWidth <= K; k += kVectors * kWidth) {
    for (int j = 0; j < kRows; ++j) _mm_prefetch(next + j * 64, _MM_HINT_T0);
    next += kRows * 64;
    for (int i = 0; i < kVectors; ++i) {
      vf av = load(a + k + i * kWidth);
      for (int j = 0; j < kRows; ++j) acc[j] += av * load(w + j * ldw + k + i * kWidth);
    }
  }
  for (; k + kWidth <= K; k += kWidth) {
    vf av = load(a + k);
    for (int j = 0; j < kRows; ++j) acc[j] += av * load(w + j * ldw + k);
  }
  for (int j = 0; j < kRows; ++j) {
    float s = sum(acc[j]);
    for (int64_t t = k; t < K; ++t) s += a[t] * value(w[j * ldw + t]);
    out[j] = s;
  }
}

// One row of a against all rows [n0, n1) of w.
template <class W>
static inline void gemm_row(const float* a, const W* w, int64_t ldw, float* out, int64_t n0, int64_t n1, int64_t K) {
  int64_t n = n0;
  for (; n + kRows <= n1; n += kRows) gemm_rows_ahead(a, w + n * ldw, ldw, out + n, K);
  for (; n < n1; ++n) gemm_block<W, 1, 1>(a, 0, w + n * ldw, ldw, out + n, 0, K);
}

// Four rows of a at a time against three rows of w.
template <class W, int NB>
static inline void gemm_fours(const float* a, int64_t lda, const W* w, int64_t ldw, float* out, int64_t ldo,
                              int64_t M, int64_t K) {
  for (int64_t m = 0; m < M; m += 4) gemm_block<W, 4, NB>(a + m * lda, lda, w, ldw, out + m * ldo, ldo, K);
}

template <class W>
static void gemm_typed(const float* a, int64_t lda, const W* w, int64_t ldw, float* out, int64_t ldo, int64_t M,
                       int64_t n0, int64_t n1, int64_t K) {
  for (int64_t m = 0; m < M; m += kTileRows) {
    int64_t rows = std::min(kTileRows, M - m);
    int64_t fours = rows / 4 * 4;
    const float* at = a + m * lda;
    float* ot = out + m * ldo;
    int64_t n = n0;
    if (fours > 0) {
      for (; n + 3 <= n1; n += 3) gemm_fours<W, 3>(at, lda, w + n * ldw, ldw, ot + n, ldo, fours, K);
      for (; n < n1; ++n) gemm_fours<W, 1>(at, lda, w + n * ldw, ldw, ot + n, ldo, fours, K);
    }
    for (int64_t i = fours; i < rows; ++i) gemm_row(at + i * lda, w, ldw, ot + i * ldo, n0, n1, K);
  }
}

static void gemm(int wtype, const float* a, int64_t lda, const void* w, int64_t ldw, float* out, int64_t ldo,
                 int64_t M, int64_t n0, int64_t n1, int64_t K) {
  switch (wtype) {
    case kF32:
      return gemm_typed(a, lda, static_cast<const float*>(w), ldw, out, ldo, M, n0, n1, K);
    case kBF16:
      return gemm_typed(a, lda, static_cast<const bf16*>(w), ldw, out, ldo, M, n0, n1, K);
    case kF16:
      return gemm_typed(a, lda, static_cast<const f16*>(w), ldw, out, ldo, M, n0, n1, K);
  }
}

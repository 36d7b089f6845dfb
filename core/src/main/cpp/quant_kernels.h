// Matrix products over quantized weights, for few rows of activations and for many.

// out[m, n0:n1) for all M rows of quantized activations; each row of w is fetched once, two rows at a time.
template <int BITS, int BLOCK>
static void quant_gemm_typed(const QuantMatrix& w, const QuantRows& x, float* out, int64_t ldo, int64_t M, int64_t n0,
                            int64_t n1) {
  for (int64_t n = n0; n < n1; n += 2) {
    int64_t rows = std::min<int64_t>(2, n1 - n);
    for (int64_t m = 0; m < M; m += kQuantTokens) {
      int64_t tokens = std::min<int64_t>(kQuantTokens, M - m);
      int64_t token[kQuantTokens] = {m, m + 1, m + 2, m + 3};
      float d[kQuantTokens][2];
      quant_pair<BITS, BLOCK>({&w, &w}, {n, n + rows - 1}, x, token, tokens, d);
      for (int64_t i = 0; i < tokens; ++i) std::memcpy(out + (m + i) * ldo + n, d[i], rows * sizeof(float));
    }
  }
}

static void quant_gemm(const QuantMatrix& w, const QuantRows& x, float* out, int64_t ldo, int64_t M, int64_t n0,
                       int64_t n1) {
  with_format(w, [&](auto bits, auto block) { quant_gemm_typed<bits(), block()>(w, x, out, ldo, M, n0, n1); });
}

// Panels [p0, p1) of M rows of a.
static void quant_pack(const QuantMatrix& w, const float* a, int64_t lda, int64_t M, void* panels, int64_t p0,
                       int64_t p1) {
  QuantPanels to = QuantPanels::at(panels, w, kQuantPanel);
  for (int64_t p = p0; p < p1; ++p) {
    const float* rows = a + p * kQuantPanel * lda;
    quantize_panel(w, std::min(kQuantPanel, M - p * kQuantPanel), [&](int64_t t) { return rows + t * lda; }, to, p);
  }
}

// out[m, n0:n1) for all M rows of activations in panels.
static void quant_panel_gemm(const QuantMatrix& w, void* panels, float* out, int64_t ldo, int64_t M, int64_t n0,
                             int64_t n1) {
  QuantPanels x = QuantPanels::at(panels, w, kQuantPanel);
  QuantTileBlock& block = quant_block_of_thread();
  for (int64_t n = n0; n < n1; n += kQuantBlockRows) {
    int64_t rows = std::min(kQuantBlockRows, n1 - n);
    for (int64_t m = 0; m < M; m += kQuantTokensAtOnce) {
      int64_t tokens = std::min(kQuantTokensAtOnce, M - m), count = (tokens + kQuantPanel - 1) / kQuantPanel;
      multiply_quant_rows(rows_of(w, n, n1), x, m / kQuantPanel, count, tokens - (count - 1) * kQuantPanel, block);
      for (int64_t t = 0; t < tokens; ++t) {
        float* to = out + (m + t) * ldo + n;
        const float* from = &block.sums[t / kQuantPanel][0][t % kQuantPanel];
        for (int64_t r = 0; r < rows; ++r) to[r] = from[r * kQuantPanel];
      }
    }
  }
}

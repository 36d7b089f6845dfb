// Matrix products over quantized weights, for many rows of activations.

// Panels [p0, p1) of M rows of a.
static void quant_pack(const QuantMatrix& w, const float* a, int64_t lda, int64_t M, void* panels, int64_t p0,
                       int64_t p1) {
  QuantPanels to = QuantPanels::at(panels, w, kQuantPanel);
  for (int64_t p = p0; p < p1; ++p) {
    const float* rows = a + p * kQuantPanel * lda;
    int64_t tokens = std::min(kQuantPanel, M - p * kQuantPanel);
    quantize_panel<kQuantBytes>(w, tokens, [&](int64_t t) { return rows + t * lda; }, to, p);
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

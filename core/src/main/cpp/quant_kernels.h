// A matrix product over quantized weights for few rows of activations.

// out[m, n0:n1) for all M rows of quantized activations; each row of w is fetched once, four rows at a time.
template <int BITS, int BLOCK>
static void quant_gemm_typed(const QuantMatrix& w, const QuantRows& x, float* out, int64_t ldo, int64_t M, int64_t n0,
                            int64_t n1) {
  const QuantMatrix* matrix[kQuantStreams] = {&w, &w, &w, &w};
  for (int64_t n = n0; n < n1; n += kQuantStreams) {
    int64_t rows = std::min<int64_t>(kQuantStreams, n1 - n), row[kQuantStreams];
    for (int64_t j = 0; j < kQuantStreams; ++j) row[j] = n + std::min(j, rows - 1);
    for (int64_t m = 0; m < M; m += kQuantTokens) {
      int64_t tokens = std::min<int64_t>(kQuantTokens, M - m);
      int64_t token[kQuantTokens] = {m, m + 1, m + 2, m + 3};
      float d[kQuantTokens][kQuantStreams];
      quant_stream<BITS, BLOCK>(matrix, row, x, token, tokens, kQuantStreams, d);
      for (int64_t i = 0; i < tokens; ++i) std::memcpy(out + (m + i) * ldo + n, d[i], rows * sizeof(float));
    }
  }
}

static void quant_gemm(const QuantMatrix& w, const QuantRows& x, float* out, int64_t ldo, int64_t M, int64_t n0,
                       int64_t n1) {
  with_format(w, [&](auto bits, auto block) { quant_gemm_typed<bits(), block()>(w, x, out, ldo, M, n0, n1); });
}

// Matrix products over quantized weights, for few rows of activations.

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

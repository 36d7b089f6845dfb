// Matrix products of bf16 weights with many rows of fp32 activations, on tiles; see bf16_tiles.h.
#if L4J_WIDTH == 16

// Panels [p0, p1) of M rows of a.
static void bf16_pack(const float* a, int64_t lda, int64_t M, int64_t K, int64_t parts, void* panels, int64_t p0,
                      int64_t p1) {
  int64_t all = (M + kBf16Panel - 1) / kBf16Panel;
  Bf16Panels to = {static_cast<uint32_t*>(panels), parts, bf16_depth(K), all, 0, all, 0};
  for (int64_t p = p0; p < p1; ++p) {
    pack_bf16_panel(to, p, K, [&](int64_t t) { return a + std::min(p * kBf16Panel + t, M - 1) * lda; });
  }
}

// out[m, n0:n1) for all M rows of activations in panels.
static void bf16_panel_gemm(const bf16* w, int64_t ldw, int64_t parts, void* panels, float* out, int64_t ldo,
                            int64_t M, int64_t K, int64_t n0, int64_t n1) {
  tiles::Session session;
  Bf16Block& block = bf16_block_of_thread();
  int64_t all = (M + kBf16Panel - 1) / kBf16Panel;
  for (int64_t n = n0; n < n1; n += kBf16Rows) {
    Bf16Rows rows = bf16_rows_of(w, ldw, n, n1);
    for (int64_t m = 0; m < M; m += kBf16Tokens) {
      int64_t tokens = std::min(kBf16Tokens, M - m), count = (tokens + kBf16Panel - 1) / kBf16Panel;
      Bf16Panels x = {static_cast<uint32_t*>(panels), parts, bf16_depth(K),
                      all, m / kBf16Panel, count, tokens - (count - 1) * kBf16Panel};
      multiply_bf16_rows(rows, x, K, block);
      store_bf16_sums(block, tokens, rows.count[0] + rows.count[1], out + m * ldo + n, ldo);
    }
  }
}

#endif

// SwiGLU experts over many tokens each, as in experts_prefill_kernels.h, with bf16 weights on AMX tiles: products of
// bf16_tiles.h of core. Work is numbered in the same way, by blocks of kBf16Half rows of W1 and of W3, and of kBf16Rows
// rows of W2. Hidden rows become the panels of the second product as they are made.
#if L4J_WIDTH == 16

static_assert(kPanel == kBf16Panel && kBlockTokens == kBf16Tokens, "one numbering of panels");

// Panels [p, p + n) of an expert, of columns padded to whole steps.
static inline Bf16Panels bf16_panels_at(const Expert& e, float* memory, int64_t parts, int64_t K, int64_t first_panel,
                                        int64_t p, int64_t n) {
  auto words = reinterpret_cast<uint32_t*>(memory) + first_panel * Bf16Panels::words(parts, K);
  int64_t last = std::min(n * kPanel, e.count - p * kPanel) - (n - 1) * kPanel;
  return {words, parts, bf16_depth(K), panels_of(e), p, n, last};
}

// The tokens of panels [from, to).
static void tile_pack_panels(int64_t parts, const Expert* experts, int64_t size, const float* x, int64_t ldx,
                             const int32_t* pairs, int64_t slots, int64_t H, float* panels, int64_t from, int64_t to) {
  for_panel_blocks(experts, size, 1, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t, int64_t p, int64_t n) {
    Bf16Panels packed = bf16_panels_at(e, panels, parts, H, first_panel, p, n);
    for (int64_t i = 0; i < n; ++i) {
      pack_bf16_panel(packed, i, H, [&](int64_t t) {
        return x + pairs[e.first + std::min((p + i) * kPanel + t, e.count - 1)] / slots * ldx;
      });
    }
  });
}

// kBf16Half rows of hidden, from the sums of W1 x and W3 x, as a step of a panel.
static inline void store_hidden(const float (&sums)[kBf16Rows][kBf16Panel], int64_t parts, uint32_t* step) {
  auto split = [&](int64_t row, int64_t t, vi (&to)[kBf16Parts]) {
    bf16_split(silu(load(sums[row] + t)) * load(sums[kBf16Half + row] + t), parts, to);
  };
  for (int64_t half = 0; half < 2; ++half) {
    for (int64_t j = 0; j < 16; ++j) {
      vi even[kBf16Parts], odd[kBf16Parts];
      split(2 * j, half * 16, even);
      split(2 * j + 1, half * 16, odd);
      for (int64_t i = 0; i < parts; ++i) {
        store_words(step + (2 * i + half) * kBf16Words + j * 16, even[i] | (odd[i] << 16));
      }
    }
  }
}

// hidden for the stretch [from, to) of (expert, block of kBf16Half rows of W1 and of W3, panel).
static void tile_gate_up(int64_t parts, const Expert* experts, int64_t size, float* panels, int64_t H, int64_t I,
                         float* hidden, int64_t from, int64_t to) {
  tiles::Session session;
  Bf16Block& block = bf16_block_of_thread();
  for_panel_blocks(experts, size, (I + kBf16Half - 1) / kBf16Half, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t b, int64_t p, int64_t n) {
    int64_t i = b * kBf16Half, rows = std::min(kBf16Half, I - i);
    Bf16Rows pair = {{static_cast<const bf16*>(e.gate), static_cast<const bf16*>(e.up)},
                     {e.gate_ld, e.up_ld},
                     {i, i},
                     {rows, rows},
                     kBf16Half};
    multiply_bf16_rows(pair, bf16_panels_at(e, panels, parts, H, first_panel, p, n), H, block);
    Bf16Panels out = bf16_panels_at(e, hidden, parts, I, first_panel, p, n);
    for (int64_t q = 0; q < n; ++q) store_hidden(block.sums[q], parts, out.at(i, q));
  });
}

// y[position][h] for the stretch [from, to) of (expert, block of kBf16Rows rows of W2, panel).
static void tile_down(int64_t parts, const Expert* experts, int64_t size, float* hidden, int64_t H, int64_t I, float* y,
                      int64_t from, int64_t to) {
  tiles::Session session;
  Bf16Block& block = bf16_block_of_thread();
  for_panel_blocks(experts, size, (H + kBf16Rows - 1) / kBf16Rows, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t b, int64_t p, int64_t n) {
    Bf16Rows rows = bf16_rows_of(static_cast<const bf16*>(e.down), e.down_ld, b * kBf16Rows, H);
    multiply_bf16_rows(rows, bf16_panels_at(e, hidden, parts, I, first_panel, p, n), I, block);
    int64_t tokens = std::min(n * kPanel, e.count - p * kPanel);
    store_bf16_sums(block, tokens, rows.count[0] + rows.count[1], y + (e.first + p * kPanel) * H + b * kBf16Rows, H);
  });
}

// With weights of other types, the kernels of fp32.
static int64_t panel_bytes_of(int wtype, int64_t parts, int64_t K) {
  return wtype == kBF16 ? Bf16Panels::words(parts, K) * 4 : panel_bytes(wtype, parts, K);
}

static void pack_panels_of(int wtype, int64_t parts, const Expert* experts, int64_t size, const float* x, int64_t ldx,
                           const int32_t* pairs, int64_t slots, int64_t H, float* panels, int64_t from, int64_t to) {
  wtype == kBF16 ? tile_pack_panels(parts, experts, size, x, ldx, pairs, slots, H, panels, from, to)
                 : pack_panels(wtype, parts, experts, size, x, ldx, pairs, slots, H, panels, from, to);
}

static void prefill_gate_up_of(int wtype, int64_t parts, const Expert* experts, int64_t size, float* panels, int64_t H,
                               int64_t I, float* hidden, int64_t from, int64_t to) {
  wtype == kBF16 ? tile_gate_up(parts, experts, size, panels, H, I, hidden, from, to)
                 : prefill_gate_up(wtype, parts, experts, size, panels, H, I, hidden, from, to);
}

static void prefill_down_of(int wtype, int64_t parts, const Expert* experts, int64_t size, float* hidden, int64_t H,
                            int64_t I, float* y, int64_t from, int64_t to) {
  wtype == kBF16 ? tile_down(parts, experts, size, hidden, H, I, y, from, to)
                 : prefill_down(wtype, parts, experts, size, hidden, H, I, y, from, to);
}

#endif

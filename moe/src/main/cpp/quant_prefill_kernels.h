// SwiGLU experts over many tokens each, as in experts_prefill_kernels.h, with weights of 8 or 4 bits: products of
// integers, see quant_panels.h of core. Work is numbered and cut in the same way.
//
// Tokens become panels of integers; the first products write hidden rows in fp32, one row a lane of the panels
// ([panels][kPanel][I]), which become panels of integers in their turn.

static_assert(kPanel == kQuantPanel && kBlockTokens == kQuantTokensAtOnce, "one numbering of panels");

// The tokens of the last of n panels of an expert from p on.
static inline int64_t tokens_of_last(const Expert& e, int64_t p, int64_t n) {
  return std::min(kPanel, e.count - (p + n - 1) * kPanel);
}

// Panels [from, to) against the layout of w: of tokens x[pairs[...] / slots], or where there are no pairs of rows of
// x in the order of lanes.
static void quant_pack_panels(const QuantMatrix& w, const Expert* experts, int64_t size, const float* x, int64_t ldx,
                              const int32_t* pairs, int64_t slots, void* panels, int64_t from, int64_t to) {
  QuantPanels packed = QuantPanels::at(panels, w, kPanel);
  for_panel_blocks(experts, size, 1, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t, int64_t p, int64_t n) {
    for (int64_t i = p; i < p + n; ++i) {
      auto row = [&](int64_t t) {
        return x + (pairs == nullptr ? (first_panel + i) * kPanel + t : pairs[e.first + i * kPanel + t] / slots) * ldx;
      };
      quantize_panel<kQuantBytes>(w, tokens_of_last(e, i, 1), row, packed, first_panel + i);
    }
  });
}

// hidden for the stretch [from, to) of (expert, block of kQuantHalf rows of W1 and of W3, panel).
static void quant_prefill_gate_up(const Expert* experts, int64_t size, void* panels, int64_t I, float* hidden,
                                  int64_t from, int64_t to) {
  QuantTileBlock& block = quant_block_of_thread();
  QuantPanels x = QuantPanels::at(panels, *quant_matrix(experts->gate), kPanel);
  for_panel_blocks(experts, size, (I + kQuantHalf - 1) / kQuantHalf, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t b, int64_t p, int64_t n) {
    int64_t i = b * kQuantHalf, rows = std::min(kQuantHalf, I - i), last = tokens_of_last(e, p, n);
    QuantTileRows pair = {{quant_matrix(e.gate), quant_matrix(e.up)}, {i, i}, {rows, rows}};
    multiply_quant_rows(pair, x, first_panel + p, n, last, block);
    for (int64_t q = 0; q < n; ++q) {
      for (int64_t j = 0; j < rows; ++j) {
        float* gate = block.sums[q][j];
        for (int64_t t = 0; t < kPanel; t += kWidth) {
          store(gate + t, silu(load(gate + t)) * load(block.sums[q][kQuantHalf + j] + t));
        }
      }
      float* to_rows = hidden + (first_panel + p + q) * kPanel * I + i;
      for (int64_t t = 0; t < (q + 1 == n ? last : kPanel); ++t) {
        for (int64_t j = 0; j < rows; ++j) to_rows[t * I + j] = block.sums[q][j][t];
      }
    }
  });
}

// y[position][h] for the stretch [from, to) of (expert, block of kQuantBlockRows rows of W2, panel).
static void quant_prefill_down(const Expert* experts, int64_t size, void* panels, int64_t H, float* y, int64_t from,
                               int64_t to) {
  QuantTileBlock& block = quant_block_of_thread();
  QuantPanels x = QuantPanels::at(panels, *quant_matrix(experts->down), kPanel);
  for_panel_blocks(experts, size, (H + kQuantBlockRows - 1) / kQuantBlockRows, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t b, int64_t p, int64_t n) {
    int64_t h = b * kQuantBlockRows, rows = std::min(kQuantBlockRows, H - h), last = tokens_of_last(e, p, n);
    multiply_quant_rows(rows_of(*quant_matrix(e.down), h, H), x, first_panel + p, n, last, block);
    for (int64_t q = 0; q < n; ++q) {
      float* to_rows = y + (e.first + (p + q) * kPanel) * H + h;
      for (int64_t t = 0; t < (q + 1 == n ? last : kPanel); ++t) {
        for (int64_t r = 0; r < rows; ++r) to_rows[t * H + r] = block.sums[q][r][t];
      }
    }
  });
}

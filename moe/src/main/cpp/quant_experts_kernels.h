// SwiGLU experts over few tokens each, as in experts_kernels.h, with weights of 8 or 4 bits (core's quant_layout.h).
//
// Tokens and hidden rows are integers, of 16 bits against weights of 8 and of 8 against weights of 4, quantized once
// each. The floor is one read of codes and scales: each row of weights is fetched once and used for all tokens of its
// expert. Rows go two at a time, one of W1 with the same one of W3, or two of W2. Every product has one order of
// summation, see quant_dots.h.
//
// The pointers of an Expert lead to QuantMatrix records here; its strides are not used.

static inline const QuantMatrix* quant_matrix(const void* p) { return static_cast<const QuantMatrix*>(p); }

// hidden[pair, i0:i1) of one expert: kWidth values of g and u for each SiLU.
template <int BITS, int BLOCK>
static void quant_gate_up_rows(const Expert& e, const QuantRows& x, const int32_t* pairs, int64_t slots, int64_t I,
                               float* hidden, int64_t i0, int64_t i1) {
  const QuantMatrix *gate = quant_matrix(e.gate), *up = quant_matrix(e.up);
  for (int64_t i = i0; i < i1; i += kWidth) {
    int64_t rows = std::min<int64_t>(kWidth, i1 - i);
    for (int64_t p = 0; p < e.count; p += kQuantTokens) {
      int64_t n = std::min<int64_t>(kQuantTokens, e.count - p), token[kQuantTokens];
      for (int64_t j = 0; j < n; ++j) token[j] = pairs[e.first + p + j] / slots;
      float g[kQuantTokens][kWidth] = {}, u[kQuantTokens][kWidth] = {};
      for (int64_t r = 0; r < rows; ++r) {
        float d[kQuantTokens][2];
        quant_pair<BITS, BLOCK>({gate, up}, {i + r, i + r}, x, token, n, d);
        for (int64_t j = 0; j < n; ++j) g[j][r] = d[j][0], u[j][r] = d[j][1];
      }
      for (int64_t j = 0; j < n; ++j) {
        store_next(hidden + (e.first + p + j) * I + i, silu(load(g[j])) * load(u[j]), rows);
      }
    }
  }
}

// y[pair, h0:h1) of one expert, two rows of W2 at a time.
template <int BITS, int BLOCK>
static void quant_down_rows(const Expert& e, const QuantRows& hidden, int64_t H, float* y, int64_t h0, int64_t h1) {
  const QuantMatrix* down = quant_matrix(e.down);
  for (int64_t h = h0; h < h1; h += 2) {
    int64_t rows = std::min<int64_t>(2, h1 - h);
    for (int64_t p = 0; p < e.count; p += kQuantTokens) {
      int64_t n = std::min<int64_t>(kQuantTokens, e.count - p), at = e.first + p;
      int64_t token[kQuantTokens] = {at, at + 1, at + 2, at + 3};
      float d[kQuantTokens][2];
      quant_pair<BITS, BLOCK>({down, down}, {h, h + rows - 1}, hidden, token, n, d);
      for (int64_t j = 0; j < n; ++j) std::memcpy(y + (at + j) * H + h, d[j], rows * sizeof(float));
    }
  }
}

static void quant_gate_up(const Expert* experts, const QuantRows& x, const int32_t* pairs, int64_t slots, int64_t I,
                          float* hidden, int64_t from, int64_t to) {
  with_format(*quant_matrix(experts->gate), [&](auto bits, auto block) {
    for_expert_rows(experts, I, from, to, [&](const Expert& e, int64_t i0, int64_t i1) {
      quant_gate_up_rows<bits(), block()>(e, x, pairs, slots, I, hidden, i0, i1);
    });
  });
}

static void quant_down(const Expert* experts, const QuantRows& hidden, int64_t H, float* y, int64_t from, int64_t to) {
  with_format(*quant_matrix(experts->down), [&](auto bits, auto block) {
    for_expert_rows(experts, H, from, to, [&](const Expert& e, int64_t h0, int64_t h1) {
      quant_down_rows<bits(), block()>(e, hidden, H, y, h0, h1);
    });
  });
}

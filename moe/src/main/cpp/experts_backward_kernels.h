// What the backward of an expert needs beside core's matrix product: products with a transposed operand, and
// the derivative of SwiGLU. fp32.
//
// Every transposed product is a sum of scaled rows, out[m] = sum_r c[m, r] rows[r]:
//   W2^T dout and W1^T dg + W3^T du   c = the gradients [n, R],       rows = the weights, widened in registers
//   dg^T x, du^T x, dout^T (w h)      c = a transposed view of [n, M], rows = activations
// Four outputs by three vectors of columns stay in registers while r runs, so a row is loaded once for four
// outputs; r runs upwards for every element, so no split changes a bit. Cost: 2 M R N operations.

// n, the columns of each vector, is below kWidth only at the right edge, where NV is 1.
template <class W, int MB, int NV>
static inline void scaled_rows_block(const float* c, int64_t cm, int64_t cr, const W* rows, int64_t ldr, int64_t R,
                                     float* out, int64_t ldo, int64_t n, bool add) {
  vf acc[MB][NV];
  clear(acc);
  if (add) {
    for (int i = 0; i < MB; ++i) {
      for (int j = 0; j < NV; ++j) {
        acc[i][j] = load_next(out + i * ldo + j * kWidth, n);
      }
    }
  }
  for (int64_t r = 0; r < R; ++r) {
    vf row[NV];
    for (int j = 0; j < NV; ++j) {
      row[j] = load_next(rows + r * ldr + j * kWidth, n);
    }
    for (int i = 0; i < MB; ++i) {
      vf scale = splat(c[i * cm + r * cr]);
      for (int j = 0; j < NV; ++j) acc[i][j] += scale * row[j];
    }
  }
  for (int i = 0; i < MB; ++i) {
    for (int j = 0; j < NV; ++j) {
      store_next(out + i * ldo + j * kWidth, acc[i][j], n);
    }
  }
}

template <class W, int NV>
static inline void scaled_rows_columns(const float* c, int64_t cm, int64_t cr, const W* rows, int64_t ldr, int64_t R,
                                       float* out, int64_t ldo, int64_t M, int64_t n, bool add) {
  int64_t m = 0;
  for (; m + 4 <= M; m += 4) {
    scaled_rows_block<W, 4, NV>(c + m * cm, cm, cr, rows, ldr, R, out + m * ldo, ldo, n, add);
  }
  for (; m < M; ++m) scaled_rows_block<W, 1, NV>(c + m * cm, cm, cr, rows, ldr, R, out + m * ldo, ldo, n, add);
}

template <class W>
static void scaled_rows_typed(const float* c, int64_t cm, int64_t cr, const W* rows, int64_t ldr, int64_t R,
                              float* out, int64_t ldo, int64_t M, bool add, int64_t n0, int64_t n1) {
  constexpr int kVectors = 3;
  int64_t n = n0;
  for (; n + kVectors * kWidth <= n1; n += kVectors * kWidth) {
    scaled_rows_columns<W, kVectors>(c, cm, cr, rows + n, ldr, R, out + n, ldo, M, kWidth, add);
  }
  for (; n < n1; n += kWidth) {
    scaled_rows_columns<W, 1>(c, cm, cr, rows + n, ldr, R, out + n, ldo, M, std::min<int64_t>(kWidth, n1 - n), add);
  }
}

// out[m, n] (+)= sum_r c[m cm + r cr] rows[r, n], columns n in [n0, n1).
static void scaled_rows(int type, const float* c, int64_t cm, int64_t cr, const void* rows, int64_t ldr, int64_t R,
                        float* out, int64_t ldo, int64_t M, bool add, int64_t n0, int64_t n1) {
  switch (type) {
    case kF32:
      return scaled_rows_typed(c, cm, cr, static_cast<const float*>(rows), ldr, R, out, ldo, M, add, n0, n1);
    case kBF16:
      return scaled_rows_typed(c, cm, cr, static_cast<const bf16*>(rows), ldr, R, out, ldo, M, add, n0, n1);
    case kF16:
      return scaled_rows_typed(c, cm, cr, static_cast<const f16*>(rows), ldr, R, out, ldo, M, add, n0, n1);
  }
}

// Rows [r0, r1) of [n, I]: in come g = W1 x, u = W3 x and q = W2^T dout; out go in their places dg, du and
// w h with h = silu(g) u; and dweight = <h, q>. With s = sigmoid(g):
//   dg = w q u s (1 + g (1 - s))      du = w q g s
static void swiglu_backward(float* g, float* u, float* q, const int32_t* pairs, int64_t slots, const float* weight,
                            int64_t ldw, float* dweight, int64_t lddw, int64_t I, int64_t r0, int64_t r1) {
  for (int64_t r = r0; r < r1; ++r) {
    int64_t token = pairs[r] / slots, slot = pairs[r] % slots;
    float w = weight[token * ldw + slot];
    vf along{};
    for (int64_t i = 0; i < I; i += kWidth) {
      int64_t n = I - i, at = r * I + i;
      vf gv = load_next(g + at, n), uv = load_next(u + at, n), qv = load_next(q + at, n);
      vf s = sigmoid(gv), silu_g = gv * s, h = silu_g * uv;
      along += h * qv;
      store_next(g + at, w * qv * uv * s * (1 + gv * (1 - s)), n);
      store_next(u + at, w * qv * silu_g, n);
      store_next(q + at, w * h, n);
    }
    dweight[token * lddw + slot] = sum(along);
  }
}

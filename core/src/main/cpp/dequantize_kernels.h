// Quantized weights back to fp32, for products with many rows of activations.

// The weights [k, k + 32) of a row as fp32; exact, for a scale has 8 bits of mantissa and a code at most 7.
static inline void dequantize_step(const QuantMatrix& w, int64_t row, int64_t k, float* out) {
  int64_t b = k / w.block;
  vf scale = splat(value(bf16{w.scales[row * w.blocks + b]}));
  const uint8_t* codes = w.codes + row * w.row_bytes() + k * w.bits / 8;
  if (w.bits == 8) {
    for (int i = 0; i < 32; i += kWidth) store(out + i, scale * to_floats(load_signed_bytes(codes + i)));
    return;
  }
  vi zero = vi{} + static_cast<int32_t>(w.zeros[row * w.blocks + b]);
  for (int i = 0; i < 16; i += kWidth) {
    vi both = load_bytes(codes + i);
    store(out + i, scale * to_floats((both & 15) - zero));
    store(out + 16 + i, scale * to_floats((both >> 4) - zero));
  }
}

// Rows [n0, n1) of w, to the rows of out.
static void dequantize(const QuantMatrix& w, float* out, int64_t ldo, int64_t n0, int64_t n1) {
  for (int64_t n = n0; n < n1; ++n) {
    float* to = out + (n - n0) * ldo;
    int64_t k = 0;
    for (; k + 32 <= w.columns; k += 32) dequantize_step(w, n, k, to + k);
    if (k < w.columns) {
      float last[32];
      dequantize_step(w, n, k, last);
      std::memcpy(to + k, last, (w.columns - k) * sizeof(float));
    }
  }
}

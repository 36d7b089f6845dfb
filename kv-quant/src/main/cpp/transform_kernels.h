// Changes of basis of rows outside of caches.

// y[t] = H x[t] / sqrt(n) for every block of n of rows [from, to); y may be x.
static void hadamard_rows(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t width, int64_t n, int64_t from,
                     int64_t to) {
  float scale = hadamard_scale(n);
  for (int64_t t = from; t < to; ++t) {
    for (int64_t i = 0; i < width; i += n) hadamard(x + t * ldx + i, y + t * ldy + i, n, scale);
  }
}

// y[t][i] = x[t][index[i]]; y apart from x.
static void gather_channels(const float* x, int64_t ldx, float* y, int64_t ldy, const int32_t* index, int64_t width,
                            int64_t from, int64_t to) {
  for (int64_t t = from; t < to; ++t) {
    const float* in = x + t * ldx;
    float* out = y + t * ldy;
    for (int64_t i = 0; i < width; ++i) out[i] = in[index[i]];
  }
}

// y[t] = x[t] + factor row; y may be x.
static void add_row(const float* x, int64_t ldx, const float* row, float factor, float* y, int64_t ldy,
                    int64_t width, int64_t from, int64_t to) {
  for (int64_t t = from; t < to; ++t) {
    const float* in = x + t * ldx;
    float* out = y + t * ldy;
    int64_t i = 0;
    for (; i + kWidth <= width; i += kWidth) store(out + i, load(in + i) + splat(factor) * load(row + i));
    for (; i < width; ++i) out[i] = in[i] + factor * row[i];
  }
}

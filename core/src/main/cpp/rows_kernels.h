// Operators that go row by row over [T, H] activations: RMS norm, scaled sums, rotary embedding, gathering of
// embedding rows. fp32 in and out; weights fp32, bf16 or fp16. Each reads and writes every element once, so
// the floor is memory: 8 bytes an element (12 for a sum of two).

template <class T>
static void widen_typed(const T* from, float* to, int64_t n) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(to + i, load(from + i));
  for (; i < n; ++i) to[i] = value(from[i]);
}

// to[0, n) = from[0, n) as fp32.
static void widen(int type, const void* from, float* to, int64_t n) {
  switch (type) {
    case kF32:
      return widen_typed(static_cast<const float*>(from), to, n);
    case kBF16:
      return widen_typed(static_cast<const bf16*>(from), to, n);
    case kF16:
      return widen_typed(static_cast<const f16*>(from), to, n);
  }
}

static float sum_of_squares(const float* x, int64_t n) {
  vf acc[4] = {};
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    for (int j = 0; j < 4; ++j) {
      vf v = load(x + i + j * kWidth);
      acc[j] += v * v;
    }
  }
  float s = sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < n; ++i) s += x[i] * x[i];
  return s;
}

template <class W>
static void rms_norm_typed(const float* x, int64_t ldx, const W* weight, float* out, int64_t ldo, int64_t t0,
                           int64_t t1, int64_t H, float eps) {
  for (int64_t t = t0; t < t1; ++t) {
    const float* row = x + t * ldx;
    float* to = out + t * ldo;
    float scale = 1.0f / std::sqrt(sum_of_squares(row, H) / H + eps);
    int64_t i = 0;
    for (; i + kWidth <= H; i += kWidth) store(to + i, load(row + i) * scale * load(weight + i));
    for (; i < H; ++i) to[i] = row[i] * scale * value(weight[i]);
  }
}

// out[t] = weight * x[t] / sqrt(mean(x[t]^2) + eps)
static void rms_norm(int wtype, const float* x, int64_t ldx, const void* weight, float* out, int64_t ldo,
                     int64_t t0, int64_t t1, int64_t H, float eps) {
  switch (wtype) {
    case kF32:
      return rms_norm_typed(x, ldx, static_cast<const float*>(weight), out, ldo, t0, t1, H, eps);
    case kBF16:
      return rms_norm_typed(x, ldx, static_cast<const bf16*>(weight), out, ldo, t0, t1, H, eps);
    case kF16:
      return rms_norm_typed(x, ldx, static_cast<const f16*>(weight), out, ldo, t0, t1, H, eps);
  }
}

// out = alpha * x + beta * y, over n elements; out may be x or y.
static void scaled_sum(const float* x, float alpha, const float* y, float beta, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(out + i, alpha * load(x + i) + beta * load(y + i));
  for (; i < n; ++i) out[i] = alpha * x[i] + beta * y[i];
}

// sum = alpha * x + beta * y and normed = rms_norm(sum), row by row of H elements; sum and normed may be x or y.
static void sum_norm(int wtype, const float* x, float alpha, const float* y, float beta, const void* weight, float* sum,
                     float* normed, int64_t t0, int64_t t1, int64_t H, float eps) {
  for (int64_t t = t0; t < t1; ++t) {
    scaled_sum(x + t * H, alpha, y + t * H, beta, sum + t * H, H);
    rms_norm(wtype, sum, H, weight, normed, H, t, t + 1, H, eps);
  }
}

// Rotates, in place, the pairs (j, j + R/2) of the first R of D channels of every head by position * inv_freq[j].
static void rope(float* x, int64_t ldt, int64_t ldh, int64_t t0, int64_t t1, int64_t heads, int64_t R,
                 const float* inv_freq, int64_t first_position) {
  int64_t half = R / 2;
  for (int64_t t = t0; t < t1; ++t) {
    float position = static_cast<float>(first_position + t);
    for (int64_t j = 0; j < half; ++j) {
      float angle = position * inv_freq[j];
      float c = std::cos(angle), s = std::sin(angle);
      for (int64_t h = 0; h < heads; ++h) {
        float* v = x + t * ldt + h * ldh;
        float a = v[j], b = v[j + half];
        v[j] = a * c - b * s;
        v[j + half] = b * c + a * s;
      }
    }
  }
}

// out[t] = table[ids[t]] as fp32.
static void gather_rows(int type, const void* table, int64_t row, const int32_t* ids, float* out, int64_t ldo,
                        int64_t t0, int64_t t1) {
  int64_t bytes = row * (type == kF32 ? 4 : 2);
  for (int64_t t = t0; t < t1; ++t) {
    widen(type, static_cast<const char*>(table) + ids[t] * bytes, out + t * ldo, row);
  }
}

// out[t] = sigmoid(gate[t]) * weight * x[t] / sqrt(mean(x[t]^2) + eps) over rows of N: the norm that follows
// lightning attention, over all heads at once. fp32, weights fp32, bf16 or fp16. Two passes over a row: the sum of
// squares brings it into the cache, the second scales it; so from memory x and gate are read once and out is
// written once, 12 bytes an element, which is the floor.

static inline float square_sum(const float* x, int64_t n) {
  vf sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    for (int j = 0; j < 4; ++j) {
      vf v = load(x + i + j * kWidth);
      sums[j] += v * v;
    }
  }
  float s = sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; ++i) s += x[i] * x[i];
  return s;
}

template <class W>
static void gated_norm_typed(const float* x, int64_t ldx, const float* gate, int64_t ldg, const W* weight, float* out,
                             int64_t ldo, int64_t t0, int64_t t1, int64_t N, float eps) {
  for (int64_t t = t0; t < t1; ++t) {
    const float* row = x + t * ldx;
    const float* g = gate == nullptr ? nullptr : gate + t * ldg;
    float* to = out + t * ldo;
    float scale = 1.0f / std::sqrt(square_sum(row, N) / N + eps);
    int64_t i = 0;
    for (; i + kWidth <= N; i += kWidth) {
      vf normed = load(row + i) * scale * load(weight + i);
      store(to + i, g == nullptr ? normed : normed * sigmoid(load(g + i)));
    }
    if (int64_t rest = N - i; rest > 0) {
      vf normed = load_part(row + i, rest) * scale * load_part(weight + i, rest);
      store_part(to + i, g == nullptr ? normed : normed * sigmoid(load_part(g + i, rest)), rest);
    }
  }
}

static void gated_norm(int wtype, const float* x, int64_t ldx, const float* gate, int64_t ldg, const void* weight,
                       float* out, int64_t ldo, int64_t t0, int64_t t1, int64_t N, float eps) {
  switch (wtype) {
    case kF32:
      return gated_norm_typed(x, ldx, gate, ldg, static_cast<const float*>(weight), out, ldo, t0, t1, N, eps);
    case kBF16:
      return gated_norm_typed(x, ldx, gate, ldg, static_cast<const bf16*>(weight), out, ldo, t0, t1, N, eps);
    case kF16:
      return gated_norm_typed(x, ldx, gate, ldg, static_cast<const f16*>(weight), out, ldo, t0, t1, N, eps);
  }
}

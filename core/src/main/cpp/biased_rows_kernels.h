// Operators over the rows of [T, H] activations with a bias: layer norm, and bias with an activation behind it.
// All fp32. Each reads and writes every element once (the norm reads a row three times, from the cache).

static float sum_of(const float* x, int64_t n) {
  vf acc[4] = {};
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    for (int j = 0; j < 4; ++j) acc[j] += load(x + i + j * kWidth);
  }
  float s = sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < n; ++i) s += x[i];
  return s;
}

static float sum_of_squared_distances(const float* x, float mean, int64_t n) {
  vf acc[4] = {};
  const vf m = splat(mean);
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    for (int j = 0; j < 4; ++j) {
      vf d = load(x + i + j * kWidth) - m;
      acc[j] += d * d;
    }
  }
  float s = sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
  for (; i < n; ++i) s += (x[i] - mean) * (x[i] - mean);
  return s;
}

// out[t] = weight * (x[t] - mean) / sqrt(var + eps) + bias; out may be x.
static void layer_norm(const float* x, int64_t ldx, const float* weight, const float* bias, float* out, int64_t ldo,
                       int64_t t0, int64_t t1, int64_t H, float eps) {
  for (int64_t t = t0; t < t1; ++t) {
    const float* row = x + t * ldx;
    float* to = out + t * ldo;
    float mean = sum_of(row, H) / H;
    float scale = 1.0f / std::sqrt(sum_of_squared_distances(row, mean, H) / H + eps);
    for (int64_t i = 0; i < H; i += kWidth) {
      int64_t n = H - i;
      vf normed = (load_next(row + i, n) - splat(mean)) * scale;
      store_next(to + i, normed * load_next(weight + i, n) + load_next(bias + i, n), n);
    }
  }
}

// x Phi(x), with Phi(-t) = erfc(t / sqrt 2) / 2 = exp(-p(t)) / 2 for t >= 0; p is t times a polynomial fitted over
// [0, 14] so that the product has an error of fp32 rounding. Beyond 14, exp(-p) is 0.
static inline vf gelu(vf x) {
  vf t = x < vf{} ? -x : x;
  t = t > splat(14.0f) ? splat(14.0f) : t;
  vf p = splat(-1.8468314e-10f);
  p = p * t + splat(1.1420432e-8f);
  p = p * t + splat(-2.9371685e-7f);
  p = p * t + splat(4.048288e-6f);
  p = p * t + splat(-3.151789e-5f);
  p = p * t + splat(1.19151366e-4f);
  p = p * t + splat(1.5487094e-4f);
  p = p * t + splat(-5.0050104e-3f);
  p = p * t + splat(3.648014e-2f);
  p = p * t + splat(3.1826282e-1f);
  p = p * t + splat(7.9789025e-1f);
  vf tail = exp(-(p * t)) * splat(0.5f);
  return x * (x < vf{} ? tail : splat(1.0f) - tail);
}

struct Identity {
  vf operator()(vf x) const { return x; }
};
struct Gelu {
  vf operator()(vf x) const { return gelu(x); }
};
struct QuickGelu {
  vf operator()(vf x) const { return x * sigmoid(x * splat(1.702f)); }
};

template <class Activation>
static void add_bias_typed(Activation act, const float* x, int64_t ldx, const float* bias, float* out, int64_t ldo,
                           int64_t t0, int64_t t1, int64_t H) {
  for (int64_t t = t0; t < t1; ++t) {
    for (int64_t i = 0; i < H; i += kWidth) {
      int64_t n = H - i;
      store_next(out + t * ldo + i, act(load_next(x + t * ldx + i, n) + load_next(bias + i, n)), n);
    }
  }
}

// out[t] = activation(x[t] + bias), in the order of the Java enum; out may be x.
static void add_bias(int activation, const float* x, int64_t ldx, const float* bias, float* out, int64_t ldo,
                     int64_t t0, int64_t t1, int64_t H) {
  switch (activation) {
    case 0:
      return add_bias_typed(Identity{}, x, ldx, bias, out, ldo, t0, t1, H);
    case 1:
      return add_bias_typed(Gelu{}, x, ldx, bias, out, ldo, t0, t1, H);
    case 2:
      return add_bias_typed(QuickGelu{}, x, ldx, bias, out, ldo, t0, t1, H);
  }
}

// out[t] = sigmoid(gate[t]) * weight * x[t] / sqrt(mean(x[t]^2) + eps) over rows of N: the norm that follows
// lightning attention, over all heads at once. fp32 arithmetic; x, gate, weight and out are fp32, bf16 or fp16,
// x and gate of one type unless one of them is fp32, out of the type of x or fp32, and of any where x is fp32. Two
// passes over a row: the sum of squares brings it into the cache, the second scales it; so from memory x and gate
// are read once and out is written once, 12 bytes an element in fp32 and 6 in 16 bits. One AVX2 thread is slower
// than that by the exponential of the sigmoid.

template <class T>
static inline T* row_of(T* rows, int64_t ld, int64_t t) {
  return rows == nullptr ? nullptr : rows + t * ld;
}

template <class X>
static inline float square_sum(const X* x, int64_t n) {
  vf sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    for (int j = 0; j < 4; ++j) {
      vf v = load(x + i + j * kWidth);
      sums[j] += v * v;
    }
  }
  for (; i < n; i += kWidth) {
    vf v = load_next(x + i, n - i);
    sums[0] += v * v;
  }
  return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

struct GatedNormForward {
  static constexpr bool kNarrows = true;
  template <class X, class G, class W, class Y>
  static void rows(const NormForward& c) {
    const W* weight = static_cast<const W*>(c.weight);
    for (int64_t t = c.t0; t < c.t1; ++t) {
      const X* x = row_of(static_cast<const X*>(c.x), c.ldx, t);
      const G* gate = row_of(static_cast<const G*>(c.gate), c.ldg, t);
      Y* out = row_of(static_cast<Y*>(c.out), c.ldo, t);
      float scale = 1.0f / std::sqrt(square_sum(x, c.N) / c.N + c.eps);
      for (int64_t i = 0; i < c.N; i += kWidth) {
        int64_t n = c.N - i;
        vf normed = load_next(x + i, n) * scale * load_next(weight + i, n);
        store_next(out + i, gate == nullptr ? normed : normed * sigmoid(load_next(gate + i, n)), n);
      }
    }
  }
};

// From the codes of the types to the rows() of those types; only mixes that are allowed exist.
template <class Op, class X, class G, class W, class Call>
static void norm_by_output(const Call& c) {
  if constexpr (Op::kNarrows && sizeof(X) == 4) {
    if (c.ytype == kBF16) return Op::template rows<X, G, W, bf16>(c);
    if (c.ytype == kF16) return Op::template rows<X, G, W, f16>(c);
  }
  return c.ytype == kF32 ? Op::template rows<X, G, W, float>(c) : Op::template rows<X, G, W, X>(c);
}

template <class Op, class X, class G, class Call>
static void norm_by_weight(const Call& c) {
  switch (c.wtype) {
    case kF32:
      return norm_by_output<Op, X, G, float>(c);
    case kBF16:
      return norm_by_output<Op, X, G, bf16>(c);
    case kF16:
      return norm_by_output<Op, X, G, f16>(c);
  }
}

template <class Op, class Call>
static void norm_by_type(const Call& c) {
  switch (c.xtype) {
    case kF32:
      if (c.gtype == kBF16) return norm_by_weight<Op, float, bf16>(c);
      if (c.gtype == kF16) return norm_by_weight<Op, float, f16>(c);
      return norm_by_weight<Op, float, float>(c);
    case kBF16:
      return c.gtype == kF32 ? norm_by_weight<Op, bf16, float>(c) : norm_by_weight<Op, bf16, bf16>(c);
    case kF16:
      return c.gtype == kF32 ? norm_by_weight<Op, f16, float>(c) : norm_by_weight<Op, f16, f16>(c);
  }
}

static void gated_norm(const NormForward& c) { norm_by_type<GatedNormForward>(c); }

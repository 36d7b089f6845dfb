// Gradients of the gated norm. With r = 1 / sqrt(mean(x^2) + eps), n = x r, s = sigmoid(gate), g = dout:
//
//   dweight = sum_t g s n     dgate = g weight n s (1 - s)     dx = r (a - n mean(a n)),  a = g s weight
//
// Two passes over a row as forward, the first one for both sums. It keeps e^-|gate| for the second, 4 N bytes of
// scratch memory: half the time of a row is that exponential. Arithmetic is fp32, but for dweight, which grows over
// up to all rows: each product is added to a double. All reads of an element come before its writes, so dx may be
// dout. Memory traffic is 20 bytes an element (x, gate, dout, dx, dgate in fp32).

struct GateSlope {
  vf open, slope;  // s and s (1 - s)
};

// From e^-|gate|, which cannot overflow and keeps 1 - s exact where s is near 1.
static inline vf gate_exp(vf gate) { return exp(gate < 0 ? gate : -gate); }
static inline GateSlope gate_slope(vf gate, vf e) {
  vf q = splat(1.0f) / (splat(1.0f) + e);
  return {gate < 0 ? e * q : q, e * q * q};
}

static inline void add_doubles(double* to, vf v, int64_t n) {
  if (n < kWidth) {
    for (int64_t i = 0; i < n; ++i) to[i] += v[i];
    return;
  }
#if defined(L4J_HALVES)
  avx2::add_doubles(to, low_half(v), 8);
  avx2::add_doubles(to + 8, high_half(v), 8);
#elif L4J_WIDTH == 16
  __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256((__m512)v));
  __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)v, 1));
  _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
  _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), high));
#else
  __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128((__m256)v));
  __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, 1));
  _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), low));
  _mm256_storeu_pd(to + 4, _mm256_add_pd(_mm256_loadu_pd(to + 4), high));
#endif
}

struct GatedNormBackward {
  static constexpr bool kNarrows = false;
  template <class X, class G, class W, class Y>
  static void rows(const NormBackward& c) {
    const W* weight = static_cast<const W*>(c.weight);
    for (int64_t t = c.t0; t < c.t1; ++t) {
      const X* x = row_of(static_cast<const X*>(c.x), c.ldx, t);
      const G* gate = row_of(static_cast<const G*>(c.gate), c.ldg, t);
      const Y* dout = row_of(static_cast<const Y*>(c.dout), c.lddo, t);
      X* dx = row_of(static_cast<X*>(c.dx), c.lddx, t);
      G* dgate = row_of(static_cast<G*>(c.dgate), c.lddg, t);
      row(x, gate, weight, dout, dx, dgate, c);
    }
  }

  template <class X, class G, class W, class Y>
  static inline void row(const X* x, const G* gate, const W* weight, const Y* dout, X* dx, G* dgate,
                         const NormBackward& c) {
    vf squares{}, products{};
    for (int64_t i = 0; i < c.N; i += kWidth) {
      int64_t n = c.N - i;
      vf v = load_next(x + i, n);
      vf a = load_next(dout + i, n) * load_next(weight + i, n);
      if (gate != nullptr) {
        vf opening = load_next(gate + i, n);
        vf e = gate_exp(opening);
        store(c.kept + i, e);
        a = a * gate_slope(opening, e).open;
      }
      squares += v * v;
      products += v * a;
    }
    float r = 1.0f / std::sqrt(sum(squares) / c.N + c.eps);
    float mean = sum(products) * r / c.N;
    for (int64_t i = 0; i < c.N; i += kWidth) {
      int64_t n = c.N - i;
      GateSlope s{splat(1.0f), vf{}};
      if (gate != nullptr) s = gate_slope(load_next(gate + i, n), load(c.kept + i));
      vf normed = load_next(x + i, n) * r;
      vf g = load_next(dout + i, n);
      vf w = load_next(weight + i, n);
      if (c.dweight != nullptr) add_doubles(c.dweight + i, g * s.open * normed, n);
      if (dgate != nullptr) store_next(dgate + i, g * w * normed * s.slope, n);
      store_next(dx + i, r * (g * s.open * w - normed * mean), n);
    }
  }
};

// False if the system refuses the scratch memory.
static bool gated_norm_backward(NormBackward c) {
  if (c.gate != nullptr) {
    c.kept = Scratch::of_thread().floats(c.N + kWidth);
    if (c.kept == nullptr) return false;
  }
  norm_by_type<GatedNormBackward>(c);
  return true;
}

// to[i] = parts[0][i] + parts[1][i] + ... for columns [from, end) of parts [count, N], which it uses up.
static void add_up(double* parts, int64_t count, int64_t N, float* to, int64_t from, int64_t end) {
  for (int64_t part = 1; part < count; ++part) {
    const double* more = parts + part * N;
    for (int64_t i = from; i < end; ++i) parts[i] += more[i];
  }
  for (int64_t i = from; i < end; ++i) to[i] = static_cast<float>(parts[i]);
}

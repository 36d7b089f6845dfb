// SwiGLU experts over few tokens each (decode), and the small operators around experts.
//
//   h = silu(W1 x) * (W3 x)      W1, W3 [I, H]         y = W2 h      W2 [H, I]
//
// Decode runs at the speed of memory: the floor is one read of the weights of the active experts, 3 H I
// elements each. So every weight row is fetched once and used for all tokens of its expert, up to four at a time, two
// rows at a time: one of W1 with the same one of W3, or two of W2. Few streams of neighbouring rows are what hardware
// fetches well. 16-bit weights are widened in registers.
//
// Work is numbered by (active expert, output row) and cut anywhere along that line. Every sum has one order,
// whatever the group or block: lane l of sum s adds k = l + s W, l + (s + 2) W, ..., the tail is padded with zeros, then
// the two sums are added and their lanes folded. Results depend on the vector width alone.
//
// Token-expert pairs stand sorted by expert: pairs[position] = token * slots + slot, and its inverse
// positions[token * slots + slot], -1 for a dropped pair. Buffers of one row a pair kept (hidden, y) are in
// sorted order.

constexpr int kStreams = 2;
constexpr int kTokens = 4;

// How far ahead of each row weights are fetched into the cache, in bytes: hardware does not look from one short row to
// the next. How far is best was measured for each number of tokens.
template <int MB>
constexpr int64_t kAheadOf = MB == 1 ? 1024 : MB == 4 ? 2048 : 4096;

// out[i][j] = <x[i], w[j]>, kSums sums under way for each, which are added at the end.
constexpr int kSums = 2;
template <class W, int MB, int NB>
static inline void dots(const float* const* x, const W* const* w, int64_t K, float (*out)[kStreams], int to) {
  constexpr int64_t kStep = kSums * kWidth, kLine = std::max<int64_t>(64 / sizeof(W), kStep);
  vf acc[MB][NB * kSums];
  clear(acc);
  int64_t k = 0;
  auto add = [&](int sum, auto loaded) {
    vf xv[MB];
    for (int i = 0; i < MB; ++i) xv[i] = loaded(x[i]);
    for (int j = 0; j < NB; ++j) {
      vf wv = loaded(w[j]);
      for (int i = 0; i < MB; ++i) acc[i][j * kSums + sum] += xv[i] * wv;
    }
    k += kWidth;
  };
  auto whole = [&](auto* p) { return load(p + k); };
  auto part = [&](auto* p) { return load_next(p + k, K - k); };
  while (k + kLine <= K) {
    for (int j = 0; j < NB; ++j) {
      auto next = reinterpret_cast<const char*>(w[j] + k) + kAheadOf<MB>;
      for (int64_t i = 0; i < kLine * sizeof(W); i += 64) _mm_prefetch(next + i, _MM_HINT_T0);
    }
    for (int64_t i = 0; i < kLine / kWidth; ++i) add(i % kSums, whole);
  }
  for (int i = 0; k < K; ++i) add(i % kSums, part);
  for (int i = 0; i < MB; ++i) {
    for (int j = 0; j < NB; ++j) out[i][to + j] = sum(acc[i][j * kSums] + acc[i][j * kSums + 1]);
  }
}

// n <= kTokens tokens against kStreams weight rows: as many sums at a time as stay in registers.
template <class W>
static inline void stream_rows(const float* const* x, int64_t n, const W* const* w, int64_t K,
                               float (*out)[kStreams]) {
  switch (n) {
    case 1:
      return dots<W, 1, 2>(x, w, K, out, 0);
    case 2:
      return dots<W, 2, 2>(x, w, K, out, 0);
    case 3:
      return dots<W, 3, 2>(x, w, K, out, 0);
    case 4:
      dots<W, 4, 1>(x, w, K, out, 0);
      return dots<W, 4, 1>(x, w + 1, K, out, 1);
  }
}

// hidden[pair, i0:i1) of one expert: kWidth values of g and u for each SiLU.
template <class W>
static void gate_up_rows(const Expert& e, const float* x, int64_t ldx, const int32_t* pairs, int64_t slots,
                         int64_t H, int64_t I, float* hidden, int64_t i0, int64_t i1) {
  for (int64_t i = i0; i < i1; i += kWidth) {
    int64_t rows = std::min<int64_t>(kWidth, i1 - i);
    for (int64_t p = 0; p < e.count; p += kTokens) {
      int64_t n = std::min<int64_t>(kTokens, e.count - p);
      const float* token[kTokens];
      for (int64_t j = 0; j < n; ++j) token[j] = x + pairs[e.first + p + j] / slots * ldx;
      float g[kTokens][kWidth] = {}, u[kTokens][kWidth] = {};
      for (int64_t r = 0; r < rows; ++r) {
        const W* w[kStreams] = {static_cast<const W*>(e.gate) + (i + r) * e.gate_ld,
                                static_cast<const W*>(e.up) + (i + r) * e.up_ld};
        float d[kTokens][kStreams];
        stream_rows(token, n, w, H, d);
        for (int64_t j = 0; j < n; ++j) g[j][r] = d[j][0], u[j][r] = d[j][1];
      }
      for (int64_t j = 0; j < n; ++j) {
        store_next(hidden + (e.first + p + j) * I + i, silu(load(g[j])) * load(u[j]), rows);
      }
    }
  }
}

// y[pair, h0:h1) of one expert.
template <class W>
static void down_rows(const Expert& e, const float* hidden, int64_t H, int64_t I, float* y, int64_t h0, int64_t h1) {
  for (int64_t h = h0; h < h1; h += kStreams) {
    int64_t rows = std::min<int64_t>(kStreams, h1 - h);
    const W* w[kStreams];
    for (int64_t r = 0; r < kStreams; ++r) {
      w[r] = static_cast<const W*>(e.down) + (h + std::min(r, rows - 1)) * e.down_ld;
    }
    for (int64_t p = 0; p < e.count; p += kTokens) {
      int64_t n = std::min<int64_t>(kTokens, e.count - p);
      const float* token[kTokens];
      for (int64_t j = 0; j < n; ++j) token[j] = hidden + (e.first + p + j) * I;
      float d[kTokens][kStreams];
      stream_rows(token, n, w, I, d);
      for (int64_t j = 0; j < n; ++j) std::memcpy(y + (e.first + p + j) * H + h, d[j], rows * sizeof(float));
    }
  }
}

// Calls part(expert, row0, row1) for the stretch [from, to) of the line of (expert, output row).
template <class Part>
static inline void for_expert_rows(const Expert* experts, int64_t rows, int64_t from, int64_t to, Part part) {
  for (int64_t at = from; at < to;) {
    int64_t row = at % rows, end = std::min(rows, row + to - at);
    part(experts[at / rows], row, end);
    at += end - row;
  }
}

static void gate_up(int wtype, const Expert* experts, const float* x, int64_t ldx, const int32_t* pairs,
                    int64_t slots, int64_t H, int64_t I, float* hidden, int64_t from, int64_t to) {
  for_expert_rows(experts, I, from, to, [=](const Expert& e, int64_t i0, int64_t i1) {
    switch (wtype) {
      case kF32:
        return gate_up_rows<float>(e, x, ldx, pairs, slots, H, I, hidden, i0, i1);
      case kBF16:
        return gate_up_rows<bf16>(e, x, ldx, pairs, slots, H, I, hidden, i0, i1);
      case kF16:
        return gate_up_rows<f16>(e, x, ldx, pairs, slots, H, I, hidden, i0, i1);
    }
  });
}

static void down(int wtype, const Expert* experts, const float* hidden, int64_t H, int64_t I, float* y, int64_t from,
                 int64_t to) {
  for_expert_rows(experts, H, from, to, [=](const Expert& e, int64_t h0, int64_t h1) {
    switch (wtype) {
      case kF32:
        return down_rows<float>(e, hidden, H, I, y, h0, h1);
      case kBF16:
        return down_rows<bf16>(e, hidden, H, I, y, h0, h1);
      case kF16:
        return down_rows<f16>(e, hidden, H, I, y, h0, h1);
    }
  });
}

// rows[i] = x[token of pairs[i]], i in [from, to).
static void gather(const float* x, int64_t ldx, const int32_t* pairs, int64_t slots, int64_t H, float* rows,
                   int64_t from, int64_t to) {
  for (int64_t i = from; i < to; ++i) std::memcpy(rows + i * H, x + pairs[i] / slots * ldx, H * sizeof(float));
}

// out[t] = sum_s weight[t, s] y[position of (t, s)], s = 0, 1, ... over pairs not dropped; without weights they
// count as 1.
static void combine(const float* y, const int32_t* positions, int64_t slots, const float* weight, int64_t ldw,
                    int64_t H, float* out, int64_t ldo, int64_t t0, int64_t t1) {
  for (int64_t t = t0; t < t1; ++t) {
    float* to = out + t * ldo;
    for (int64_t h = 0; h < H; h += kWidth) {
      vf total{};
      for (int64_t s = 0; s < slots; ++s) {
        int64_t position = positions[t * slots + s];
        if (position < 0) continue;
        const float* row = y + position * H + h;
        float w = weight == nullptr ? 1.0f : weight[t * ldw + s];
        total += w * load_next(row, H - h);
      }
      store_next(to + h, total, H - h);
    }
  }
}

// inout[t] = inout[t] (1 - c) + shared[t] c, c = sigmoid(<x[t], coefficient>).
template <class W>
static void mix_typed(const float* x, int64_t ldx, const W* coefficient, const float* shared, int64_t H,
                      float* inout, int64_t ldo, int64_t t0, int64_t t1) {
  for (int64_t t = t0; t < t1; ++t) {
    const float* row = x + t * ldx;
    float d[1][kStreams];
    dots<W, 1, 1>(&row, &coefficient, H, d, 0);
    float c = sigmoid(splat(d[0][0]))[0];
    const float* from = shared + t * H;
    float* to = inout + t * ldo;
    for (int64_t h = 0; h < H; h += kWidth) {
      store_next(to + h, load_next(to + h, H - h) * (1 - c) + load_next(from + h, H - h) * c, H - h);
    }
  }
}

static void mix(int wtype, const float* x, int64_t ldx, const void* coefficient, const float* shared, int64_t H,
                float* inout, int64_t ldo, int64_t t0, int64_t t1) {
  switch (wtype) {
    case kF32:
      return mix_typed(x, ldx, static_cast<const float*>(coefficient), shared, H, inout, ldo, t0, t1);
    case kBF16:
      return mix_typed(x, ldx, static_cast<const bf16*>(coefficient), shared, H, inout, ldo, t0, t1);
    case kF16:
      return mix_typed(x, ldx, static_cast<const f16*>(coefficient), shared, H, inout, ldo, t0, t1);
  }
}

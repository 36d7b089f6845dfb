// SwiGLU experts over many tokens each (prefill): grouped matrix products that run at the speed of multiply-adds.
//
//   h = silu(W1 x) * (W3 x)      W1, W3 [I, H]         y = W2 h      W2 [H, I]
//
// Tokens, not weights, are packed: the tokens of an expert stand in panels of kPanel, transposed, so that one vector
// holds one element of kWidth tokens; what lies between the layers stands likewise, as the first product writes it. A
// tile of sums is kTileRows weight rows by one panel: a row is read one broadcast element at a time, so weights stay as
// they are stored and need no transposition.
//
// A block of kBlockRows rows (of W1 and W3 half each) by kBlockColumns columns is widened to fp32 in scratch memory
// that the second cache holds. A stretch of a panel, [kBlockColumns][kPanel], stays in the first cache while the block
// goes over it. So memory is asked for 24 bytes each kTileRows * kTileVectors multiply-adds, by rows in order. While a
// block is in use, the next one is fetched. Weights are read once for kBlockTokens tokens.
//
// Work is numbered by (expert, block of rows, panel), so that a stretch of that line costs the same wherever it lies.
// A sum runs over k upwards within kBlockColumns columns, from zero, and these sums are added in order: it depends
// neither on tiles nor on the vector width.
//
// Cost: 2 H I operations a product and token; packing is 1 % and widening 5 % at 128 tokens an expert.

constexpr int kTileVectors = 2;
constexpr int kTileRows = kWidth == 16 ? 12 : 6;
constexpr int64_t kPanel = kTileVectors * kWidth;
constexpr int64_t kBlockRows = 48;
constexpr int64_t kBlockColumns = 256;
constexpr int64_t kBlockTokens = 256;
constexpr int64_t kRowStride = kBlockColumns + 16;  // an odd number of cache lines

struct PrefillBlock {
  alignas(64) float weights[kBlockRows * kRowStride];
  alignas(64) float sums[kBlockTokens / kPanel][kBlockRows][kPanel];
};

static inline PrefillBlock& block_of_thread() {
  static thread_local PrefillBlock block;
  return block;
}

// Rows of a weight matrix as fp32, and where they lie in memory.
template <class W>
struct PlainRows {
  const void* matrix;
  int64_t ld;

  const W* at(int64_t row, int64_t k) const { return static_cast<const W*>(matrix) + row * ld + k; }
  void widen(int64_t row, int64_t k, int64_t n, float* to) const {
    const W* from = at(row, k);
    for (int64_t i = 0; i < n; i += kWidth) {
      _mm_prefetch(reinterpret_cast<const char*>(from + ld + i), _MM_HINT_T0);  // the row after this one
      store(to + i, load_next(from + i, n - i));
    }
  }
  const void* line(int64_t row, int64_t k) const { return at(row, k); }
  static constexpr int64_t bytes(int64_t n) { return n * sizeof(W); }
};

// sums[r][...] (+)= sum over k < depth of w[r][k] x[k][...]
template <int R, int V>
static inline void prefill_tile(const float* w, const float* x, int64_t depth, float (*sums)[kPanel], bool add) {
  vf acc[R][V];
  clear(acc);
#pragma GCC unroll 2
  for (int64_t k = 0; k < depth; ++k) {
    vf xv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) xv[v] = load(x + k * kPanel + v * kWidth);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      vf wv = splat(w[r * kRowStride + k]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[r][v] = multiply_add(wv, xv[v], acc[r][v]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      float* to = sums[r] + v * kWidth;
      store(to, add ? load(to) + acc[r][v] : acc[r][v]);
    }
  }
}

// The rows of a block: two halves, each of rows of one matrix from `first` on.
constexpr int64_t kHalf = kBlockRows / 2;

template <class Rows>
struct BlockRows {
  Rows matrix[2];
  int64_t first[2], count[2];

  int64_t row(int half, int64_t j) const { return first[half] + std::min(j, count[half] - 1); }
  void widen(int64_t k, int64_t n, float* to) const {
    for (int half = 0; half < 2; ++half) {
      int64_t whole_tiles = (count[half] + kTileRows - 1) / kTileRows * kTileRows;
      for (int64_t j = 0; j < whole_tiles; ++j) {
        matrix[half].widen(row(half, j), k, n, to + (half * kHalf + j) * kRowStride);
      }
    }
  }
  // The stretch of one row, into the second cache.
  void fetch(int64_t slot, int64_t k, int64_t n) const {
    int half = slot >= kHalf;
    if (slot - half * kHalf >= count[half]) return;
    auto from = static_cast<const char*>(matrix[half].line(first[half] + slot - half * kHalf, k));
    for (int64_t i = 0; i < matrix[half].bytes(n); i += 64) _mm_prefetch(from + i, _MM_HINT_T1);
  }
};

// The panels of an expert with elements [0, K), in stretches of kBlockColumns elements, all panels of a stretch side by
// side; and those of them that a pass goes over, the last one with `last` tokens.
struct Panels {
  float* memory;
  int64_t K, all, first, count, last;

  float* at(int64_t k, int64_t p) const {
    int64_t start = k / kBlockColumns * kBlockColumns, depth = std::min(kBlockColumns, K - start);
    return memory + (start * all + (first + p) * depth + k - start) * kPanel;
  }
};

// block.sums = rows x for all rows of `now` and all panels; meanwhile the start of `next` is fetched.
template <class Rows>
static void multiply_block(const BlockRows<Rows>& now, const BlockRows<Rows>* next, const Panels& x,
                           PrefillBlock& block) {
  const int64_t K = x.K;
  for (int64_t k = 0; k < K; k += kBlockColumns) {
    int64_t depth = std::min(kBlockColumns, K - k);
    now.widen(k, depth, block.weights);
    bool more = k + kBlockColumns < K;
    const BlockRows<Rows>* ahead = more ? &now : next;
    int64_t ahead_k = more ? k + kBlockColumns : 0, ahead_depth = std::min(kBlockColumns, K - ahead_k);
    int64_t steps = x.count * (kBlockRows / kTileRows), step = 0;
    for (int64_t p = 0; p < x.count; ++p) {
      const float* panel = x.at(k, p);
      bool narrow = p + 1 == x.count && x.last <= kWidth;
      for (int64_t slot = 0; slot < kBlockRows; slot += kTileRows, ++step) {
        if (ahead != nullptr) {
          for (int64_t s = step * kBlockRows / steps; s < (step + 1) * kBlockRows / steps; ++s) {
            ahead->fetch(s, ahead_k, ahead_depth);
          }
        }
        if (slot % kHalf >= now.count[slot >= kHalf]) continue;
        const float* w = block.weights + slot * kRowStride;
        float (*sums)[kPanel] = block.sums[p] + slot;
        narrow ? prefill_tile<kTileRows, 1>(w, panel, depth, sums, k > 0)
               : prefill_tile<kTileRows, kTileVectors>(w, panel, depth, sums, k > 0);
      }
    }
  }
}

static inline int64_t panels_of(const Expert& e) { return (e.count + kPanel - 1) / kPanel; }

// Calls part(expert, its first panel, block, panel within the expert, panels) for the stretch [from, to) of the line
// of (expert, block of rows, panel).
template <class Part>
static inline void for_panel_blocks(const Expert* experts, int64_t size, int64_t blocks, int64_t from, int64_t to,
                                    Part part) {
  int64_t start = 0, first_panel = 0;
  for (const Expert* e = experts; e < experts + size && start < to; ++e) {
    int64_t panels = panels_of(*e), end = std::min(to - start, blocks * panels);
    for (int64_t at = std::max<int64_t>(from - start, 0); at < end;) {
      int64_t p = at % panels, n = std::min({panels - p, end - at, kBlockTokens / kPanel});
      part(*e, first_panel, at / panels, p, n);
      at += n;
    }
    start += blocks * panels;
    first_panel += panels;
  }
}

static inline Panels panels_at(const Expert& e, float* memory, int64_t K, int64_t first_panel, int64_t p, int64_t n) {
  int64_t last = std::min(n * kPanel, e.count - p * kPanel) - (n - 1) * kPanel;
  return {memory + first_panel * K * kPanel, K, panels_of(e), p, n, last};
}

static int64_t panel_bytes(int, int64_t, int64_t K) { return K * kPanel * sizeof(float); }

// The tokens of panels [from, to).
static void pack_panels(int, int64_t, const Expert* experts, int64_t size, const float* x, int64_t ldx,
                        const int32_t* pairs, int64_t slots, int64_t H, float* panels, int64_t from, int64_t to) {
  for_panel_blocks(experts, size, 1, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t, int64_t p, int64_t n) {
    Panels packed = panels_at(e, panels, H, first_panel, p, n);
    for (int64_t i = 0; i < n; ++i) {
      const float* row[kPanel];
      for (int64_t t = 0; t < kPanel; ++t) {
        int64_t position = e.first + std::min((p + i) * kPanel + t, e.count - 1);
        row[t] = x + pairs[position] / slots * ldx;
      }
      for (int64_t k = 0; k < H; k += kBlockColumns) {
        float* column = packed.at(k, i);
        for (int64_t h = k; h < std::min(k + kBlockColumns, H); ++h, column += kPanel) {
          for (int64_t t = 0; t < kPanel; ++t) column[t] = row[t][h];
        }
      }
    }
  });
}

// hidden for the stretch [from, to) of (expert, block of kHalf rows of W1 and of W3, panel).
template <class Rows>
static void prefill_gate_up_typed(const Expert* experts, int64_t size, float* panels, int64_t H, int64_t I,
                                  float* hidden, int64_t from, int64_t to) {
  PrefillBlock& block = block_of_thread();
  auto rows_of = [I](const Expert& e, int64_t b) {
    int64_t i = b * kHalf, n = std::min(kHalf, I - i);
    return BlockRows<Rows>{{{e.gate, e.gate_ld}, {e.up, e.up_ld}}, {i, i}, {n, n}};
  };
  int64_t blocks = (I + kHalf - 1) / kHalf;
  for_panel_blocks(experts, size, blocks, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t b, int64_t p, int64_t n) {
    BlockRows<Rows> now = rows_of(e, b), next;
    bool is_last = b + 1 == blocks || p + n < panels_of(e);
    if (!is_last) next = rows_of(e, b + 1);
    multiply_block(now, is_last ? nullptr : &next, panels_at(e, panels, H, first_panel, p, n), block);
    Panels out = panels_at(e, hidden, I, first_panel, p, n);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < now.count[0]; ++j) {
        float* column = out.at(b * kHalf + j, i);
        for (int64_t t = 0; t < kPanel; t += kWidth) {
          vf gate = load(block.sums[i][j] + t), up = load(block.sums[i][kHalf + j] + t);
          store(column + t, silu(gate) * up);
        }
      }
    }
  });
}

// y[position][h] for the stretch [from, to) of (expert, block of kBlockRows rows of W2, panel).
template <class Rows>
static void prefill_down_typed(const Expert* experts, int64_t size, float* hidden, int64_t H, int64_t I, float* y,
                               int64_t from, int64_t to) {
  PrefillBlock& block = block_of_thread();
  auto rows_of = [H](const Expert& e, int64_t b) {
    int64_t h = b * kBlockRows, n = std::min(kBlockRows, H - h);
    Rows down{e.down, e.down_ld};
    return BlockRows<Rows>{{down, down}, {h, h + kHalf}, {std::min(kHalf, n), std::max<int64_t>(0, n - kHalf)}};
  };
  int64_t blocks = (H + kBlockRows - 1) / kBlockRows;
  for_panel_blocks(experts, size, blocks, from, to,
                   [&](const Expert& e, int64_t first_panel, int64_t b, int64_t p, int64_t n) {
    BlockRows<Rows> now = rows_of(e, b), next;
    bool is_last = b + 1 == blocks || p + n < panels_of(e);
    if (!is_last) next = rows_of(e, b + 1);
    multiply_block(now, is_last ? nullptr : &next, panels_at(e, hidden, I, first_panel, p, n), block);
    for (int64_t t = p * kPanel; t < std::min(e.count, (p + n) * kPanel); ++t) {
      float* to_row = y + (e.first + t) * H + b * kBlockRows;
      const float* sums = &block.sums[t / kPanel - p][0][t % kPanel];
      for (int64_t r = 0; r < now.count[0] + now.count[1]; ++r) to_row[r] = sums[r * kPanel];
    }
  });
}

// Calls work with the reader of rows of a type.
template <class Work>
static inline void with_rows(int wtype, Work work) {
  switch (wtype) {
    case kF32:
      return work(PlainRows<float>{});
    case kBF16:
      return work(PlainRows<bf16>{});
    case kF16:
      return work(PlainRows<f16>{});
  }
}

static void prefill_gate_up(int wtype, int64_t, const Expert* experts, int64_t size, float* panels, int64_t H,
                            int64_t I, float* hidden, int64_t from, int64_t to) {
  with_rows(wtype, [&](auto rows) {
    prefill_gate_up_typed<decltype(rows)>(experts, size, panels, H, I, hidden, from, to);
  });
}

static void prefill_down(int wtype, int64_t, const Expert* experts, int64_t size, float* hidden, int64_t H, int64_t I,
                         float* y, int64_t from, int64_t to) {
  with_rows(wtype, [&](auto rows) {
    prefill_down_typed<decltype(rows)>(experts, size, hidden, H, I, y, from, to);
  });
}

// What the mean of the keys adds to the scores, where it was taken off before they were stored: q . R_s mu, with
// pairs (j, h + j) of channels turning by s w_j:
//
//   q . R_s mu = sum_j a_j cos(s w_j) + b_j sin(s w_j) + c
//   a_j = q_j mu_j + q_{h+j} mu_{h+j},   b_j = q_{h+j} mu_j - q_j mu_{h+j},   c over the channels that do not turn
//
// For a page a and b are turned once to its position 32 (fast pairs to its first); what is left are the fixed cosines
// and sines of 64 slots. A pair that turns by 2 at most in 32 positions is slow: over a page it is a polynomial,
// cos(32 w v) = sum (-1)^k (32 w v)^(2k) / (2k)!, v = (slot - 32) / 32, and all slow pairs are one. Twelve terms leave
// 2^12 / 12! = 9e-6. With 64 pairs and frequencies down from 1 to 1e-4, 20 are fast.
//
// Cost for each row and 64 keys, in multiply-adds of 8 lanes: 16 for a fast pair, 1.5 for a slow one, 88 for the
// polynomial; 1024 were all fast.

constexpr int64_t kSinkPage = -1;  // for the position of a page whose tokens lie anywhere
constexpr int64_t kTerms = 12;
constexpr int64_t kPairs = kv::kMaxHeadDim / 2 + 16;  // zeros behind the last, for whole vectors

struct MeanScores {
  alignas(64) float a[kv::kTileRows][kPairs];
  alignas(64) float b[kv::kTileRows][kPairs];
  float c[kv::kTileRows];
  int64_t fast;                           // all pairs from here on are slow
  alignas(64) float terms[kTerms][kPairs];  // of the polynomial, by slow pair, with their signs
};

static inline void prepare_mean(const kv::Rope& rope, MeanScores* to) {
  const float* w = rope.frequencies();
  to->fast = rope.half;
  while (to->fast > 0 && std::fabs(w[to->fast - 1]) * 32 <= 2) --to->fast;
  for (int64_t j = to->fast; j < rope.half; ++j) {
    float term = 1, turn = 32 * w[j];
    for (int64_t m = 0; m < kTerms; ++m) {
      to->terms[m][j] = m / 2 % 2 == 0 ? term : -term;
      term *= turn / static_cast<float>(m + 1);
    }
  }
  for (int64_t m = 0; m < kTerms; ++m) std::fill(to->terms[m] + rope.half, to->terms[m] + kPairs, 0.0f);
}

// Of the query in row i, before heads are rotated; the factor of the scores included.
static inline void prepare_mean_row(const kv::AttentionCall& call, const kv::Tile& tile, int64_t i, const float* q,
                                    MeanScores* to) {
  const kv::Cache& cache = call.cache;
  int64_t half = cache.rope.half;
  const float* mean = cache.mean + tile.head * cache.head_dim;
  float scale = static_cast<float>(call.scale);
  for (int64_t j = 0; j < half; ++j) {
    to->a[i][j] = scale * (q[j] * mean[j] + q[half + j] * mean[half + j]);
    to->b[i][j] = scale * (q[half + j] * mean[j] - q[j] * mean[half + j]);
  }
  float still = 0;
  for (int64_t j = 2 * half; j < cache.head_dim; ++j) still += q[j] * mean[j];
  to->c[i] = scale * still;
}

static inline void add_mean_of_sinks(const kv::AttentionCall& call, const kv::Tile& tile, const MeanScores& mean,
                                     float* scores) {
  const kv::Cache& cache = call.cache;
  float cos[kv::kMaxHeadDim / 2], sin[kv::kMaxHeadDim / 2];
  for (int64_t t = 0; t < cache.sinks; ++t) {
    turns_at(cache.rope, cache.sink_positions[t], cos, sin);
    for (int64_t i = 0; i < tile.count; ++i) {
      float sum = mean.c[i];
      for (int64_t j = 0; j < cache.rope.half; ++j) sum += mean.a[i][j] * cos[j] + mean.b[i][j] * sin[j];
      scores[i * kv::kPageTokens + t] += sum;
    }
  }
}

constexpr int kPageVectors = kv::kPageTokens / kWidth;

// Where the slots of a page lie about its middle: v.
struct Slots {
  alignas(64) float at[kv::kPageTokens]{};
  constexpr Slots() {
    for (int t = 0; t < kv::kPageTokens; ++t) at[t] = static_cast<float>(t - 32) / 32;
  }
};
constexpr Slots kSlots;

// The fast pairs: sums[slot] += a_j cos(slot w_j) + b_j sin(slot w_j).
static inline void add_fast(const kv::Rope& rope, int64_t fast, const float* a, const float* b, vf* sums) {
  for (int64_t j = 0; j < fast; ++j) {
    vf aj = splat(a[j]), bj = splat(b[j]);
#pragma GCC unroll 8
    for (int c = 0; c < kPageVectors; ++c) {
      sums[c] += aj * load(rope.cos_at(j) + c * kWidth);
      sums[c] += bj * load(rope.sin_at(j) + c * kWidth);
    }
  }
}

// The slow pairs: their polynomial, even terms from a, odd ones from b.
static inline void add_slow(const MeanScores& mean, int64_t half, const float* a, const float* b, vf* sums) {
  float factors[kTerms];
  for (int64_t m = 0; m < kTerms; m += 4) {
    vf term[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) term[i] = vf{};
    for (int64_t j = mean.fast; j < half; j += kWidth) {
      vf even = load(a + j), odd = load(b + j);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) term[i] += (i % 2 == 0 ? even : odd) * load(mean.terms[m + i] + j);
    }
    _mm_storeu_ps(factors + m, four_sums(term[0], term[1], term[2], term[3]));
  }
#pragma GCC unroll 8
  for (int c = 0; c < kPageVectors; ++c) {
    vf v = load(kSlots.at + c * kWidth), p = splat(factors[kTerms - 1]);
    for (int64_t m = kTerms - 2; m >= 0; --m) p = p * v + splat(factors[m]);
    sums[c] += p;
  }
}

// Adds it to the scores of the 64 positions from `first` on.
static void add_mean(const kv::AttentionCall& call, const kv::Tile& tile, const MeanScores& mean, int64_t first,
                     float* scores) {
  const kv::Cache& cache = call.cache;
  if (cache.mean == nullptr) return;
  if (first == kSinkPage) return add_mean_of_sinks(call, tile, mean, scores);
  int64_t half = cache.rope.half;
  alignas(64) float cos[kPairs], sin[kPairs], a[kPairs], b[kPairs];
  turns_at(cache.rope, first, cos, sin);
  turn_on(cache.rope.cos_bit(5), cache.rope.sin_bit(5), mean.fast, half, cos, sin);
  std::fill(a + half, a + kPairs, 0.0f);
  std::fill(b + half, b + kPairs, 0.0f);
  for (int64_t i = 0; i < tile.count; ++i) {
    for (int64_t j = 0; j < half; ++j) {
      a[j] = mean.a[i][j] * cos[j] + mean.b[i][j] * sin[j];
      b[j] = mean.b[i][j] * cos[j] - mean.a[i][j] * sin[j];
    }
    vf sums[kPageVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kPageVectors; ++c) sums[c] = load(scores + i * kv::kPageTokens + c * kWidth) + splat(mean.c[i]);
    add_fast(cache.rope, mean.fast, a, b, sums);
    if (mean.fast < half) add_slow(mean, half, a, b, sums);
#pragma GCC unroll 8
    for (int c = 0; c < kPageVectors; ++c) store(scores + i * kv::kPageTokens + c * kWidth, sums[c]);
  }
}

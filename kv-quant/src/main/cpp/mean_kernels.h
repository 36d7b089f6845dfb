// What the mean of the keys adds to the scores, where it was taken off before they were stored: q . R_s mu, with
// pairs (j, h + j) of channels turning by s w_j:
//
//   q . R_s mu = sum_j a_j cos(s w_j) + b_j sin(s w_j) + c
//   a_j = q_j mu_j + q_{h+j} mu_{h+j},   b_j = q_{h+j} mu_j - q_j mu_{h+j},   c over the channels that do not turn
//
// For a page a and b are turned once to its first position; what is left are the fixed cosines and sines of 64
// slots. Cost: 2 h multiply-adds for each row and key.

constexpr int64_t kSinkPage = -1;  // for the position of a page whose tokens lie anywhere

struct MeanScores {
  alignas(64) float a[kv::kTileRows][kv::kMaxHeadDim / 2];
  alignas(64) float b[kv::kTileRows][kv::kMaxHeadDim / 2];
  float c[kv::kTileRows];
};

// Of the query in row i, before heads are rotated; the factor of the scores included.
static inline void prepare_mean(const kv::AttentionCall& call, const kv::Tile& tile, int64_t i, const float* q,
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

// Adds it to the scores of the 64 positions from `first` on.
static void add_mean(const kv::AttentionCall& call, const kv::Tile& tile, const MeanScores& mean, int64_t first,
                     float* scores) {
  const kv::Cache& cache = call.cache;
  if (cache.mean == nullptr) return;
  if (first == kSinkPage) return add_mean_of_sinks(call, tile, mean, scores);
  int64_t half = cache.rope.half;
  float cos[kv::kMaxHeadDim / 2], sin[kv::kMaxHeadDim / 2];
  turns_at(cache.rope, first, cos, sin);
  for (int64_t i = 0; i < tile.count; ++i) {
    constexpr int kVectors = kv::kPageTokens / kWidth;
    vf sums[kVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) sums[c] = load(scores + i * kv::kPageTokens + c * kWidth) + splat(mean.c[i]);
    for (int64_t j = 0; j < half; ++j) {
      vf a = splat(mean.a[i][j] * cos[j] + mean.b[i][j] * sin[j]);
      vf b = splat(mean.b[i][j] * cos[j] - mean.a[i][j] * sin[j]);
#pragma GCC unroll 8
      for (int c = 0; c < kVectors; ++c) {
        sums[c] += a * load(cache.rope.cos_at(j) + c * kWidth) + b * load(cache.rope.sin_at(j) + c * kWidth);
      }
    }
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) store(scores + i * kv::kPageTokens + c * kWidth, sums[c]);
  }
}

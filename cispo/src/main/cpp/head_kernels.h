// The head of a language model and the log-probabilities of given tokens, without the logits [tokens, vocabulary]:
//
//   z[t, v] = scale sum_h hidden[t, h] head[v, h]     lse[t] = log sum_v exp z[t, v]     p = exp(z - lse)
//   log_prob[t] = z[t, target] - lse[t]               entropy[t] = lse[t] - sum_v p[t, v] z[t, v]
//   dz[t, v] = d_log_prob[t] (1[v = target] - p) - d_entropy[t] p (z - lse + entropy)
//   d_hidden = scale dz head                          d_head = scale dz^T hidden
//
// Forward: a unit is a tile of kTileA tokens and a range of kRangeWords words. It makes tiles of z, folds each into a
// running maximum m, rest s - 1 of the sum s of exp(z - m), and sum u of exp(z - m)(z - m) of every token, and forgets
// it. The ranges of a token are merged in order, in double. The 1 of the maximum itself stays out of the sum: where a
// token is all but certain, the rest is what its log-probability consists of.
//
// Backward: for one block of logits after another, dz is made anew from lse (kTileA x kTileB a unit), then two
// products add the block to d_hidden and write its rows of d_head. No two units write one element, and blocks
// follow one another in one order: results do not depend on the number of threads. lse is a double, taken off as two
// floats, and the target has -d_log_prob expm1(log_prob) for d_log_prob (1 - p), so that neither p nor 1 - p is the
// difference of two rounded numbers. Tokens without gradients give zeros, whatever their hidden states hold.
//
// Cost: 2 tokens vocabulary width operations forward, 6 backward; all of it in multiply_tile but for an exp a logit.
#include "packed_product.h"

using l4j::head::Block;
using l4j::head::HeadCall;
using l4j::head::kRangeWords;

static inline Side hidden_rows(const HeadCall& c) {
  return {c.hidden, static_cast<int>(c.hidden_type), c.hidden_stride, false};
}
static inline Side head_rows(const HeadCall& c) {
  return {c.head, static_cast<int>(c.head_type), c.head_stride, false};
}

struct Statistics {
  float maximum;
  float rest;  // of the sum, without the 1 of one maximum
  float weighted;
};

// Scales a row of logits in place, which a whole vector of pads may follow, and folds it into what is known.
static inline void fold(float* z, int64_t n, float scale, Statistics& known) {
  // Far below all others: their exp is 0, and finite, so that 0 times them is 0 too.
  for (int64_t i = n; i % kWidth != 0; ++i) z[i] = -1e38f;
  vf highest = splat(-INFINITY);
  for (int64_t i = 0; i < n; i += kWidth) {
    vf x = i + kWidth <= n ? load(z + i) * splat(scale) : load(z + i);
    if (i + kWidth > n) {
      for (int64_t lane = 0; lane < n - i; ++lane) x[lane] *= scale;
    }
    store(z + i, x);
    highest = x > highest ? x : highest;
  }
  float maximum = -INFINITY;
  for (int lane = 0; lane < kWidth; ++lane) maximum = std::max(maximum, highest[lane]);
  maximum = std::max(maximum, known.maximum);
  vf ones{}, rests{}, weighted{};
  for (int64_t i = 0; i < n; i += kWidth) {
    vf below = load(z + i) - splat(maximum);
    vf e = exp(below);
    ones += below == vf{} ? splat(1.0f) : vf{};
    rests += below == vf{} ? vf{} : e;
    weighted += e * below;
  }
  float one = sum(ones), rest = sum(rests), u = sum(weighted);
  if (known.maximum == maximum) {
    rest = known.rest + (rest + one);
    u += known.weighted;
  } else if (known.maximum > -INFINITY || known.rest != 0) {
    float down = known.maximum - maximum;
    float factor = std::exp(down), s = 1 + known.rest;
    rest = rest + (one - 1) + factor * s;
    u += factor * (known.weighted + down * s);
  } else {
    rest += one - 1;
  }
  known = {maximum, rest, u};
}

static void forward_unit(const HeadCall& c, int64_t first, int64_t range, float* scratch) {
  int64_t rows = std::min(kTileA, c.tokens - first);
  int64_t end = std::min(c.vocabulary, (range + 1) * kRangeWords);
  float* z = scratch + kScratch;
  Statistics* known = reinterpret_cast<Statistics*>(c.partials) + range * c.tokens + first;
  for (int64_t i = 0; i < rows; ++i) known[i] = {-INFINITY, 0, 0};
  for (int64_t word = range * kRangeWords; word < end; word += kTileB) {
    int64_t words = std::min(kTileB, end - word);
    multiply_tile(hidden_rows(c), first, rows, head_rows(c), word, words, c.width, z, kTileB, false, scratch);
    for (int64_t i = 0; i < rows; ++i) {
      float* row = z + i * kTileB;
      fold(row, words, static_cast<float>(c.scale), known[i]);
      int64_t target = c.targets[first + i] - word;
      if (target >= 0 && target < words) c.target_logit[first + i] = row[target];
    }
  }
}

// Units [from, to): all token tiles of a range, then those of the next.
static void head_forward(const HeadCall& c, int64_t from, int64_t to, float* scratch) {
  int64_t tiles = panels(c.tokens, kTileA);
  for (int64_t unit = from; unit < to; ++unit) forward_unit(c, unit % tiles * kTileA, unit / tiles, scratch);
}

// Tokens [from, to) from the statistics of all their ranges.
static void head_merge(const HeadCall& c, int64_t from, int64_t to) {
  const Statistics* partials = reinterpret_cast<const Statistics*>(c.partials);
  int64_t ranges = panels(c.vocabulary, kRangeWords);
  for (int64_t t = from; t < to; ++t) {
    int64_t top = 0;
    for (int64_t r = 1; r < ranges; ++r) {
      if (partials[r * c.tokens + t].maximum > partials[top * c.tokens + t].maximum) top = r;
    }
    double maximum = partials[top * c.tokens + t].maximum, rest = 0, u = 0;
    for (int64_t r = 0; r < ranges; ++r) {
      const Statistics& part = partials[r * c.tokens + t];
      double s = (r == top ? 0.0 : 1.0) + part.rest;
      double down = r == top ? 0.0 : part.maximum - maximum;
      double factor = std::exp(down);
      rest += factor * s;
      u += factor * (part.weighted + down * s);
    }
    double log_sum = std::log1p(rest);
    c.log_sum_exp[t] = maximum + log_sum;
    c.log_prob[t] = static_cast<float>(c.target_logit[t] - maximum - log_sum);
    if (c.entropy) c.entropy[t] = static_cast<float>(log_sum - u / (1 + rest));
  }
}

// Tokens whose gradients are 0.
static inline Rows idle_tokens(const HeadCall& c, int64_t first) {
  return {c.d_log_prob + first, c.d_entropy ? c.d_entropy + first : nullptr};
}

// Logits become scale dz, in place.
static inline void differentiate(const HeadCall& c, int64_t t, float* z, int64_t n) {
  float scale = static_cast<float>(c.scale);
  float slope = c.d_entropy ? -scale * c.d_entropy[t] : 0.0f;
  float base = -scale * c.d_log_prob[t] + (c.d_entropy ? slope * c.entropy[t] : 0.0f);
  float high = static_cast<float>(c.log_sum_exp[t]), low = static_cast<float>(c.log_sum_exp[t] - high);
  // Rounded as in the forward pass, and not part of a multiply-add with what follows.
  for (int64_t i = 0; i < n; i += kWidth) store_next(z + i, load_next(z + i, n - i) * splat(scale), n - i);
  for (int64_t i = 0; i < n; i += kWidth) {
    vf log_prob = (load_next(z + i, n - i) - splat(high)) - splat(low);
    store_next(z + i, exp(log_prob) * (splat(base) + splat(slope) * log_prob), n - i);
  }
}

// scale dz of the target.
static inline float of_target(const HeadCall& c, int64_t t) {
  double log_prob = c.log_prob[t];
  double d = -c.d_log_prob[t] * std::expm1(log_prob);
  if (c.d_entropy) d -= c.d_entropy[t] * std::exp(log_prob) * (log_prob + c.entropy[t]);
  return static_cast<float>(c.scale * d);
}

// Units [from, to) of dz in a block: all token tiles of kTileB words, then those of the next.
static void head_d_logits(const HeadCall& c, const Block& b, int64_t from, int64_t to, float* scratch) {
  int64_t tiles = panels(b.tokens, kTileA);
  for (int64_t unit = from; unit < to; ++unit) {
    int64_t first = unit % tiles * kTileA, column = unit / tiles * kTileB;
    int64_t rows = std::min(kTileA, b.tokens - first), columns = std::min(kTileB, b.words - column);
    float* z = c.d_logits + first * b.words + column;
    multiply_tile(hidden_rows(c), b.token + first, rows, head_rows(c), b.word + column, columns, c.width, z, b.words,
                  false, scratch);
    for (int64_t i = 0; i < rows; ++i) {
      int64_t t = b.token + first + i;
      float* row = z + i * b.words;
      if (idle_tokens(c, 0).contain(t)) {
        std::fill_n(row, columns, 0.0f);
        continue;
      }
      differentiate(c, t, row, columns);
      int64_t target = c.targets[t] - b.word - column;
      if (target >= 0 && target < columns) row[target] = of_target(c, t);
    }
  }
}

// A product of rows x width, its units numbered as above; offset is where the first row goes.
static void add_product(const Side& a, int64_t rows, const Side& b, int64_t width, int64_t K, float* out,
                        int64_t stride, bool add, int64_t from, int64_t to, float* scratch) {
  int64_t tiles = panels(rows, kTileA);
  for (int64_t unit = from; unit < to; ++unit) {
    int64_t first = unit % tiles * kTileA, column = unit / tiles * kTileB;
    multiply_tile(a, first, std::min(kTileA, rows - first), b, column, std::min(kTileB, width - column), K,
                  out + first * stride + column, stride, add, scratch);
  }
}

static inline const void* row_of(const void* data, int64_t type, int64_t stride, int64_t row) {
  return static_cast<const char*>(data) + row * stride * (type == kBF16 ? 2 : 4);
}

static void head_d_hidden(const HeadCall& c, const Block& b, bool add, int64_t from, int64_t to, float* scratch) {
  Side dz = {c.d_logits, kF32, b.words, false};
  Side words = {row_of(c.head, c.head_type, c.head_stride, b.word), static_cast<int>(c.head_type), c.head_stride, true};
  add_product(dz, b.tokens, words, c.width, b.words, c.d_hidden + b.token * c.d_hidden_stride, c.d_hidden_stride, add,
              from, to, scratch);
}

static void head_d_head(const HeadCall& c, const Block& b, bool add, int64_t from, int64_t to, float* scratch) {
  Side dz = {c.d_logits, kF32, b.words, true};
  Side tokens = {row_of(c.hidden, c.hidden_type, c.hidden_stride, b.token), static_cast<int>(c.hidden_type),
                 c.hidden_stride, true, idle_tokens(c, b.token)};
  add_product(dz, b.words, tokens, c.width, b.tokens, c.d_head + b.word * c.d_head_stride, c.d_head_stride, add, from,
              to, scratch);
}

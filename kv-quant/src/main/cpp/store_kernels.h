// Tokens into exact pages, from exact pages into packed ones, and out again.
//
// In: F32 rows, in the basis of the format where that is one of heads, rounded to nearest even into the page's type;
// NaN stays NaN, what F16 cannot hold becomes infinite. Out: widened, exactly. One pass over the elements: the floor is
// memory. Padding is zero from the page's birth and is never written.
//
// Ageing: a token that leaves the window is quantized from its exact row, or moved to the page of sinks. Where there
// is no window, and the basis is one of single heads, tokens are quantized as they come, to the same bits.
#include "dense_basis.h"
#include "rope.h"
#include "codec_kernels.h"
#include "quantize_kernels.h"

static inline void narrow(float x, float* to) { *to = x; }
static inline void narrow(float x, bf16* to) { *to = to_bf16(x); }
static inline void narrow(float x, f16* to) { *to = to_f16(x); }

// x less what is null or taken off, rotated.
template <class E>
static inline void append_row(const float* x, int64_t dim, bool rotate, const float* less, E* to) {
  alignas(64) float rotated[kv::kMaxHeadDim];
  if (rotate) {
    for (int64_t i = 0; i < dim; ++i) rotated[i] = less == nullptr ? x[i] : x[i] - less[i];
    hadamard(rotated, rotated, dim, hadamard_scale(dim));
    x = rotated;
  }
  for (int64_t i = 0; i < dim; ++i) narrow(x[i], to + i);
}

// Head by head, so that a matrix stays near while it is used.
template <class E>
static void append_dense(const kv::Cache& cache, kv::DenseMatrix which, const kv::Tokens& x, int64_t first,
                         int64_t from, int64_t to) {
  constexpr int64_t kRows = 4;
  alignas(64) float rows[kRows * kv::kMaxHeadDim];
  const kv::Pages& pages = cache.exact;
  int64_t dim = cache.head_dim;
  for (int64_t h = 0; h < pages.heads; ++h) {
    for (int64_t t = from; t < to; t += kRows) {
      int64_t count = std::min(kRows, to - t);
      in_dense_basis(cache.matrix(which, h), dim, x.at(t, h), x.token, count, rows, dim);
      for (int64_t i = 0; i < count; ++i) {
        int64_t at = first + t + i, page = cache.page_of(at);
        E* row = which == kv::kKeyIn ? pages.keys<E>(page, h) : pages.values<E>(page, h);
        append_row(rows + i * dim, dim, false, nullptr, row + cache.row_of(at));
      }
    }
  }
}

template <class E>
static void append_typed(const kv::Cache& cache, const kv::Tokens& k, const kv::Tokens& v, int64_t first,
                         int64_t from, int64_t to) {
  const kv::Pages& pages = cache.exact;
  if (cache.transform == kv::kDense) {
    append_dense<E>(cache, kv::kKeyIn, k, first, from, to);
    append_dense<E>(cache, kv::kValueIn, v, first, from, to);
    return;
  }
  alignas(64) float turns[2 * kv::kMaxHeadDim], mean[kv::kMaxHeadDim];
  for (int64_t t = from; t < to; ++t) {
    if (cache.mean != nullptr) turns_at(cache.rope, first + t, turns, turns + cache.rope.half);
    int64_t page = cache.page_of(first + t), at = cache.row_of(first + t);
    for (int64_t h = 0; h < pages.heads; ++h) {
      if (cache.mean != nullptr) {
        std::copy_n(cache.mean + h * cache.head_dim, cache.head_dim, mean);
        turn(mean, turns, turns + cache.rope.half, cache.rope.half);
      }
      append_row(k.at(t, h), cache.head_dim, cache.rotates_heads(), cache.mean == nullptr ? nullptr : mean,
                 pages.keys<E>(page, h) + at);
      append_row(v.at(t, h), cache.head_dim, cache.rotates_values(), nullptr, pages.values<E>(page, h) + at);
    }
  }
}

template <class E>
static void read_typed(const kv::Cache& cache, const kv::Tokens& k, const kv::Tokens& v, int64_t from, int64_t to) {
  const kv::Pages& pages = cache.exact;
  for (int64_t t = from; t < to; ++t) {
    int64_t page = cache.page_of(t), at = cache.row_of(t);
    for (int64_t h = 0; h < pages.heads; ++h) {
      const E* keys = pages.keys<E>(page, h) + at;
      const E* values = pages.values<E>(page, h) + at;
      float* kt = k.at(t, h);
      float* vt = v.at(t, h);
      for (int64_t i = 0; i < cache.head_dim; ++i) kt[i] = value(keys[i]);
      for (int64_t i = 0; i < cache.head_dim; ++i) vt[i] = value(values[i]);
    }
  }
}

// The exact row of a token goes to another exact page.
template <class E>
static void move_token(const kv::Cache& cache, int64_t token, const kv::Pages& to, int64_t slot) {
  int64_t page = cache.page_of(token), row = cache.exact.row, at = cache.row_of(token);
  for (int64_t h = 0; h < cache.exact.heads; ++h) {
    const E* keys = cache.exact.keys<const E>(page, h) + at;
    const E* values = cache.exact.values<const E>(page, h) + at;
    std::copy(keys, keys + row, to.keys<E>(0, h) + slot * row);
    std::copy(values, values + row, to.values<E>(0, h) + slot * row);
  }
}

template <class E>
static inline void widen(const E* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = value(from[i]);
}

// The keys of a token as one row of the layer: rotated over neighbouring heads, then permuted.
template <class E>
static void quantize_grouped_keys(const kv::Cache& cache, int64_t page, int64_t at, int64_t packed, int64_t slot) {
  static thread_local std::vector<float> rows;
  int64_t dim = cache.head_dim, n = cache.exact.heads * dim;
  rows.resize(2 * n);
  float* rotated = rows.data();
  float* stored = rotated + n;
  for (int64_t h = 0; h < cache.exact.heads; ++h) {
    widen(cache.exact.keys<const E>(page, h) + at, dim, rotated + h * dim);
  }
  float scale = hadamard_scale(cache.rotation);
  for (int64_t i = 0; i < n; i += cache.rotation) hadamard(rotated + i, rotated + i, cache.rotation, scale);
  for (int64_t i = 0; i < n; ++i) stored[i] = rotated[cache.order[i]];
  quantize(cache.key, packed, 0, slot, stored);
}

template <class E>
static void quantize_token(const kv::Cache& cache, int64_t token) {
  int64_t page = cache.page_of(token), slot = token % kv::kPageTokens, at = cache.row_of(token);
  int64_t packed = cache.packed[token / kv::kPageTokens];
  float row[kv::kMaxHeadDim];
  if (cache.transform == kv::kGrouped) quantize_grouped_keys<E>(cache, page, at, packed, slot);
  for (int64_t h = 0; h < cache.exact.heads; ++h) {
    if (cache.transform != kv::kGrouped) {
      widen(cache.exact.keys<const E>(page, h) + at, cache.head_dim, row);
      quantize(cache.key, packed, h, slot, row);
    }
    widen(cache.exact.values<const E>(page, h) + at, cache.head_dim, row);
    quantize(cache.value, packed, h, slot, row);
  }
}

template <class E>
static void age_typed(const kv::Cache& cache, int64_t from, int64_t to) {
  const int64_t* end = cache.sink_positions + cache.sinks;
  for (int64_t token = from; token < to; ++token) {
    const int64_t* sink = std::lower_bound(cache.sink_positions, end, token);
    if (sink != end && *sink == token) {
      kv::Pages to_page{&cache.sink_page, cache.exact.heads, cache.exact.row, kv::kPageTokens};
      move_token<E>(cache, token, to_page, sink - cache.sink_positions);
    } else {
      quantize_token<E>(cache, token);
    }
  }
}

// Tokens that leave the window as they come: rounded as an exact page would hold them, then quantized.
template <class E>
static void append_packed_typed(const kv::Cache& cache, const kv::Tokens& k, const kv::Tokens& v, int64_t first,
                                int64_t from, int64_t to) {
  E exact[kv::kMaxHeadDim];
  float row[kv::kMaxHeadDim];
  auto pack = [&](const float* x, const kv::Codec& codec, bool rotate, int64_t page, int64_t head, int64_t slot) {
    append_row(x, cache.head_dim, rotate, nullptr, exact);
    widen(exact, cache.head_dim, row);
    quantize(codec, page, head, slot, row);
  };
  for (int64_t t = from; t < to; ++t) {
    int64_t page = cache.packed[(first + t) / kv::kPageTokens], slot = (first + t) % kv::kPageTokens;
    for (int64_t h = 0; h < cache.exact.heads; ++h) {
      pack(k.at(t, h), cache.key, cache.rotates_heads(), page, h, slot);
      pack(v.at(t, h), cache.value, cache.rotates_values(), page, h, slot);
    }
  }
}

// Positions first + [from, to) = tokens [from, to) of k and v, in packed pages at once.
static void append_packed(const kv::Cache& cache, const kv::Tokens& k, const kv::Tokens& v, int64_t first,
                          int64_t from, int64_t to) {
  switch (cache.type) {
    case kF32:
      return append_packed_typed<float>(cache, k, v, first, from, to);
    case kBF16:
      return append_packed_typed<bf16>(cache, k, v, first, from, to);
    case kF16:
      return append_packed_typed<f16>(cache, k, v, first, from, to);
  }
}

// Positions first + [from, to) = tokens [from, to) of k and v.
static void append(const kv::Cache& cache, const kv::Tokens& k, const kv::Tokens& v, int64_t first, int64_t from,
                   int64_t to) {
  switch (cache.type) {
    case kF32:
      return append_typed<float>(cache, k, v, first, from, to);
    case kBF16:
      return append_typed<bf16>(cache, k, v, first, from, to);
    case kF16:
      return append_typed<f16>(cache, k, v, first, from, to);
  }
}

// Positions [from, to) leave the exact pages for good.
static void age(const kv::Cache& cache, int64_t from, int64_t to) {
  switch (cache.type) {
    case kF32:
      return age_typed<float>(cache, from, to);
    case kBF16:
      return age_typed<bf16>(cache, from, to);
    case kF16:
      return age_typed<f16>(cache, from, to);
  }
}

// Tokens [from, to) of k and v = positions [from, to), all of them exact.
static void read(const kv::Cache& cache, const kv::Tokens& k, const kv::Tokens& v, int64_t from, int64_t to) {
  switch (cache.type) {
    case kF32:
      return read_typed<float>(cache, k, v, from, to);
    case kBF16:
      return read_typed<bf16>(cache, k, v, from, to);
    case kF16:
      return read_typed<f16>(cache, k, v, from, to);
  }
}

// The first token in [from, to) that holds NaN or an infinity, or to.
static int64_t first_non_finite(const kv::Tokens& x, int64_t heads, int64_t dim, int64_t from, int64_t to) {
  for (int64_t t = from; t < to; ++t) {
    for (int64_t h = 0; h < heads; ++h) {
      const float* row = x.at(t, h);
      float zeros = 0;
      for (int64_t i = 0; i < dim; ++i) zeros += row[i] * 0;
      if (!(zeros == 0)) return t;
    }
  }
  return to;
}

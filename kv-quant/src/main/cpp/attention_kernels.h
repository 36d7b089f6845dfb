// Causal softmax attention of the last T positions over the pages of a cache:
//
//   out[t, h] = sum_s p_s v[s, h / group]     p = softmax over s <= t of scale * (q[t, h] . k[s, h / group])
//
// The query rows (t, h) of one kv head are cut into tiles of 16, the keys into ranges of 512. For a tile and a
// range the pages of 64 keys are taken in order: the sinks before all, then for each stretch of 64 positions
// what the row reads packed and what it reads exactly. The results of the ranges are merged in order.
//
// Where heads are stored in another basis, queries are brought into it once instead of the keys back, and outputs
// back once. Keys rotated over heads before the rotary embedding are restored, once for all tiles
// (grouped_attention.h).
//
// A row's bits depend on its own query, the keys it sees and the vector width; not on the tile it is in, how
// many queries came with it, or who computed which range. So decode, prefill and any number of threads agree.
//
// Cost: 4 * head_dim operations for each row and key. Decode reads every page once for up to 16 query heads
// of a kv head: its floor is the bytes of the cache.
#include "attention_blocks.h"
#include "two_bit_kernels.h"
#include "byte_kernels.h"
#include "mean_kernels.h"

// The queries of a tile side by side, padded with zeros, in the basis of the stored keys.
struct TileQueries {
  alignas(64) float rows[kv::kTileRows * kv::kMaxHeadDim];
  SmallRows small[kv::kMaxHeadDim / kLeastSmall][kv::kTileRows / 4];  // by group
  WordRows words[kv::kTileRows / 4];
  MeanScores mean;
};

static void gather_queries(const kv::AttentionCall& call, const kv::Tile& tile, TileQueries* q) {
  const kv::Cache& cache = call.cache;
  int64_t row = cache.exact.row;
  if (cache.mean != nullptr) prepare_mean(cache.rope, &q->mean);
  for (int64_t i = 0; i < tile.count; ++i) {
    int64_t r = tile.first + i;
    const float* from = call.q.at(r / call.group, tile.head * call.group + r % call.group);
    std::copy(from, from + cache.head_dim, q->rows + i * row);
    std::fill(q->rows + i * row + cache.head_dim, q->rows + (i + 1) * row, 0.0f);
    if (cache.mean != nullptr) prepare_mean_row(call, tile, i, q->rows + i * row, &q->mean);
    if (cache.rotates_heads()) {
      hadamard(q->rows + i * row, q->rows + i * row, cache.head_dim, hadamard_scale(cache.head_dim));
    }
  }
  if (cache.transform == kv::kDense) {
    alignas(64) float came[kv::kTileRows * kv::kMaxHeadDim];
    std::copy(q->rows, q->rows + tile.count * row, came);
    in_dense_basis(cache.matrix(kv::kQueryIn, tile.head), cache.head_dim, came, row, tile.count, q->rows, row);
  }
  if (cache.packed_end == 0 || cache.transform == kv::kGrouped) return;
  for (int64_t i = 0; i < tile.count; i += 4) {
    int64_t rows = std::min<int64_t>(4, tile.count - i);
    float scale = static_cast<float>(call.scale);
    if (is_small_head(cache.key)) {
      for (int64_t g = 0; g < cache.key.groups(); ++g) {
        small_rows(q->rows + i * row + g * cache.key.group, cache.key.size(g), rows, row, scale,
                   cache.key.zero == kv::kLloydMax, q->small[g] + i / 4);
      }
    } else if (is_byte_head(cache.key)) {
      word_rows(q->rows + i * row, rows, row, cache.head_dim, scale, q->words + i / 4);
    }
  }
}

#include "packed_attention.h"

// A page of exact rows; keys from `k`, which may have been turned.
template <class K, class V>
static void attend_exact(const kv::AttentionCall& call, const kv::Tile& tile, const TileQueries& q, const K* k,
                         const V* v, int64_t first, const kv::Seen& seen, float* partial) {
  alignas(64) float scores[kv::kTileRows * kv::kPageTokens];
  int64_t row = call.cache.exact.row;
  Running into(partial);
  score_page(q.rows, k, tile.count, seen, row, static_cast<float>(call.scale), scores);
  add_mean(call, tile, q.mean, first, scores);
  softmax_page(scores, tile.count, seen, into, row);
  value_page(scores, v, tile.count, seen, row, into.out);
}

// The 64 positions from `first` on in exact pages, which may be several: scores of all of them, then their softmax,
// then the values, so that sums do not depend on the size of pages.
template <class E>
static void attend_exact(const kv::AttentionCall& call, const kv::Tile& tile, const TileQueries& q, int64_t first,
                         const kv::Seen& seen, float* partial) {
  alignas(64) float scores[kv::kTileRows * kv::kPageTokens];
  const kv::Pages& pages = call.cache.exact;
  Running into(partial);
  auto each = [&](auto work) {
    for (int64_t slot = 0; slot < kv::kPageTokens; slot += pages.tokens) {
      kv::Seen part = seen.within(slot, pages.tokens, tile.count);
      if (part.any) work(slot, call.cache.page_of(first + slot), part);
    }
  };
  each([&](int64_t slot, int64_t page, const kv::Seen& part) {
    score_page(q.rows, pages.keys<const E>(page, tile.head), tile.count, part, pages.row,
               static_cast<float>(call.scale), scores + slot);
  });
  add_mean(call, tile, q.mean, first, scores);
  softmax_page(scores, tile.count, seen, into, pages.row);
  each([&](int64_t slot, int64_t page, const kv::Seen& part) {
    value_page(scores + slot, pages.values<const E>(page, tile.head), tile.count, part, pages.row, into.out);
  });
}

static inline void clear_partial(const kv::AttentionCall& call, float* partial) {
  std::fill(partial, partial + kv::kTileRows, -INFINITY);
  std::fill(partial + kv::kTileRows, partial + call.partial(), 0.0f);
}

// What a tile reads of the 64 positions from `first` on: packed, exactly; and how many sinks.
static inline kv::Seen seen_packed(const kv::AttentionCall& call, const kv::Tile& tile, int64_t first) {
  return kv::Seen::of(
      tile, [&](int64_t row) { return call.first_seen(row) - first; },
      [&](int64_t row) { return call.cache.border(call.position(row)) - first; });
}
static inline kv::Seen seen_exact(const kv::AttentionCall& call, const kv::Tile& tile, int64_t first) {
  return kv::Seen::of(
      tile,
      [&](int64_t row) { return std::max(call.first_seen(row), call.cache.border(call.position(row))) - first; },
      [&](int64_t row) { return call.visible(row) - first; });
}
static inline kv::Seen seen_sinks(const kv::AttentionCall& call, const kv::Tile& tile) {
  const int64_t* first = call.cache.sink_positions;
  auto before = [&](int64_t position) { return std::lower_bound(first, first + call.cache.sinks, position) - first; };
  return kv::Seen::of(
      tile, [&](int64_t row) { return before(call.first_seen(row)); },
      [&](int64_t row) { return before(call.cache.border(call.position(row))); });
}

template <class E>
static void attend_range(const kv::AttentionCall& call, const kv::Tile& tile, const TileQueries& q, int64_t range,
                         float* partial) {
  const kv::Cache& cache = call.cache;
  clear_partial(call, partial);
  if (range == 0 && cache.sinks > 0) {
    kv::Pages sinks{&cache.sink_page, cache.exact.heads, cache.exact.row, kv::kPageTokens};
    kv::Seen seen = seen_sinks(call, tile);
    if (seen.any) {
      attend_exact(call, tile, q, sinks.keys<const E>(0, tile.head), sinks.values<const E>(0, tile.head), kSinkPage,
                   seen, partial);
    }
  }
  int64_t end = std::min((range + 1) * kv::kRangeKeys, call.visible(tile.first + tile.count - 1));
  for (int64_t first = range * kv::kRangeKeys; first < end; first += kv::kPageTokens) {
    kv::Seen seen = seen_packed(call, tile, first);
    if (seen.any) {
      alignas(64) float scores[kv::kTileRows * kv::kPageTokens];
      Ahead ahead = page_behind(cache, cache.key, first, tile.head);
      packed_scores(call, tile, q, cache.packed[first / kv::kPageTokens], seen, ahead, scores);
      finish_packed(call, tile, first, seen, q.mean, scores, partial);
    }
    seen = seen_exact(call, tile, first);
    if (seen.any) attend_exact<E>(call, tile, q, first, seen, partial);
  }
}

static void attend_range(const kv::AttentionCall& call, const kv::Tile& tile, const TileQueries& q, int64_t range,
                         float* partial) {
  switch (call.cache.type) {
    case kF32:
      return attend_range<float>(call, tile, q, range, partial);
    case kBF16:
      return attend_range<bf16>(call, tile, q, range, partial);
    case kF16:
      return attend_range<f16>(call, tile, q, range, partial);
  }
}

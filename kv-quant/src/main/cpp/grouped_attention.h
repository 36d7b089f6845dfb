// Attention where keys are stored rotated over heads, before the rotary embedding: one restoring of a page serves
// all heads, so a piece of work is a range of keys for all tiles of a chunk, [tile_from, tile_to) of each head.
#include "strip.h"
#include "small_strip.h"
#include "wide_strip.h"

struct Chunk {
  const kv::AttentionCall& call;
  int64_t from, to;  // tiles of a head
  float* partials;

  int64_t size() const { return call.cache.exact.heads * (to - from); }
  kv::Tile tile(int64_t i) const {
    return kv::Tile::of(call, i / (to - from) * call.tiles() + from + i % (to - from));
  }
  float* partial(int64_t i, int64_t range) const { return partials + (i * call.ranges() + range) * call.partial(); }
};

struct GroupedScratch {
  SmallStrip small;
  WideStrip wide;
  std::vector<TileQueries> queries;
  std::vector<float> scores;
  std::vector<kv::Seen> seen;
  std::vector<float> turns;  // [64][2 half]: cosines, then sines, of each token
  std::vector<float> page;   // [2 half]

  void reserve(const Chunk& chunk) {
    const kv::Cache& cache = chunk.call.cache;
    restores_small(cache) ? small.reserve(cache, chunk.size()) : wide.reserve(cache, chunk.size());
    if (static_cast<int64_t>(queries.size()) < chunk.size()) {
      queries.resize(chunk.size());
      scores.resize(chunk.size() * kv::kTileRows * kv::kPageTokens);
      seen.resize(chunk.size());
    }
    turns.resize(kv::kPageTokens * 2 * cache.rope.half);
    page.resize(2 * cache.rope.half);
  }
};

// Scores of all tiles and the packed keys of a page.
template <class Strip>
static void grouped_scores(const Chunk& chunk, int64_t first, GroupedScratch& s, Strip& strip) {
  const kv::Cache& cache = chunk.call.cache;
  int64_t per_head = chunk.to - chunk.from, end = 0;
  float* cos = s.page.data();
  float* sin = cos + cache.rope.half;
  for (int64_t i = 0; i < chunk.size(); ++i) end = std::max(end, last_seen(chunk.tile(i), s.seen[i]));
  turns_at(cache.rope, first, cos, sin);
  for (int64_t slot = 0; slot < end; slot += kStrip) {
    strip.unpack(cache, cache.packed[first / kv::kPageTokens], slot, cos, sin);
    for (int64_t h = 0; h < cache.exact.heads; ++h) {
      strip.restore(cache, h);
      for (int64_t i = h * per_head; i < (h + 1) * per_head; ++i) {
        kv::Tile tile = chunk.tile(i);
        if (slot >= last_seen(tile, s.seen[i])) continue;
        float* to = s.scores.data() + i * kv::kTileRows * kv::kPageTokens + slot;
        strip.score(chunk.call, i, s.queries[i], tile.count, to);
      }
    }
  }
}

// A page of exact keys, turned to the positions of its tokens, for all tiles.
template <class E, class Positions>
static void grouped_exact(const Chunk& chunk, const kv::Pages& pages, int64_t page, int64_t tokens, Positions position,
                          int64_t range, GroupedScratch& s) {
  const kv::Cache& cache = chunk.call.cache;
  int64_t row = cache.exact.row, half = cache.rope.half, per_head = chunk.to - chunk.from;
  for (int64_t t = 0; t < tokens; ++t) {
    float* turn = s.turns.data() + t * 2 * half;
    turns_at(cache.rope, position(t), turn, turn + half);
  }
  FloatRows keys;
  for (int64_t h = 0; h < cache.exact.heads; ++h) {
    const E* from = pages.keys<const E>(page, h);
    for (int64_t t = 0; t < tokens; ++t) {
      float* k = keys.rows + t * row;
      const float* turns = s.turns.data() + t * 2 * half;
      widen(from + t * row, row, k);
      turn(k, turns, turns + half, half);
    }
    for (int64_t i = h * per_head; i < (h + 1) * per_head; ++i) {
      if (!s.seen[i].any) continue;
      attend_exact(chunk.call, chunk.tile(i), s.queries[i], keys.rows, pages.values<const E>(page, h), 0, s.seen[i],
                   chunk.partial(i, range));
    }
  }
}

template <class Of>
static bool see(const Chunk& chunk, GroupedScratch& s, Of of) {
  bool any = false;
  for (int64_t i = 0; i < chunk.size(); ++i) {
    s.seen[i] = of(chunk.tile(i));
    any |= s.seen[i].any;
  }
  return any;
}

template <class E>
static void attend_grouped_range(const Chunk& chunk, int64_t range, GroupedScratch& s) {
  const kv::AttentionCall& call = chunk.call;
  const kv::Cache& cache = call.cache;
  int64_t end = 0;
  for (int64_t i = 0; i < chunk.size(); ++i) {
    kv::Tile tile = chunk.tile(i);
    clear_partial(call, chunk.partial(i, range));
    end = std::max(end, std::min((range + 1) * kv::kRangeKeys, call.visible(tile.first + tile.count - 1)));
  }
  if (range == 0 && cache.sinks > 0 && see(chunk, s, [&](const kv::Tile& tile) { return seen_sinks(call, tile); })) {
    kv::Pages sinks{&cache.sink_page, cache.exact.heads, cache.exact.row, kv::kPageTokens};
    grouped_exact<E>(chunk, sinks, 0, cache.sinks, [&](int64_t t) { return cache.sink_positions[t]; }, range, s);
  }
  for (int64_t first = range * kv::kRangeKeys; first < end; first += kv::kPageTokens) {
    if (see(chunk, s, [&](const kv::Tile& tile) { return seen_packed(call, tile, first); })) {
      restores_small(cache) ? grouped_scores(chunk, first, s, s.small) : grouped_scores(chunk, first, s, s.wide);
      for (int64_t i = 0; i < chunk.size(); ++i) {
        if (!s.seen[i].any) continue;
        finish_packed(call, chunk.tile(i), first, s.seen[i], s.queries[i].mean,
                      s.scores.data() + i * kv::kTileRows * kv::kPageTokens, chunk.partial(i, range));
      }
    }
    if (see(chunk, s, [&](const kv::Tile& tile) { return seen_exact(call, tile, first); })) {
      int64_t page = (first - cache.exact_first) / kv::kPageTokens;
      int64_t tokens = std::min(kv::kPageTokens, cache.length - first);
      grouped_exact<E>(chunk, cache.exact, page, tokens, [&](int64_t t) { return first + t; }, range, s);
    }
  }
}

// Ranges [from, to) for the tiles [tile_from, tile_to) of every head; partials [heads, tiles of the chunk, ranges].
static void attend_grouped(const kv::AttentionCall& call, float* partials, int64_t tile_from, int64_t tile_to,
                           int64_t from, int64_t to) {
  static thread_local GroupedScratch scratch;
  Chunk chunk{call, tile_from, tile_to, partials};
  scratch.reserve(chunk);
  for (int64_t i = 0; i < chunk.size(); ++i) {
    kv::Tile tile = chunk.tile(i);
    gather_queries(call, tile, &scratch.queries[i]);
    if (restores_small(call.cache)) scratch.small.gather(i, scratch.queries[i], tile.count, call);
  }
  for (int64_t range = from; range < to; ++range) {
    switch (call.cache.type) {
      case kF32:
        attend_grouped_range<float>(chunk, range, scratch);
        break;
      case kBF16:
        attend_grouped_range<bf16>(chunk, range, scratch);
        break;
      case kF16:
        attend_grouped_range<f16>(chunk, range, scratch);
        break;
    }
  }
}

// Merges the ranges of a chunk's tiles; item counts the tiles of all heads.
static void merge_grouped(const kv::AttentionCall& call, float* partials, int64_t tile_from, int64_t tile_to,
                          int64_t from, int64_t to) {
  Chunk chunk{call, tile_from, tile_to, partials};
  for (int64_t i = from; i < to; ++i) {
    kv::Tile tile = chunk.tile(i);
    for (int64_t range = 1; range < call.ranges(); ++range) {
      merge(call, tile, range, chunk.partial(i, range), chunk.partial(i, 0));
    }
    write_out(call, tile, chunk.partial(i, 0));
  }
}

// One call of attention, as CacheCall.java and CpuAttention.java lay it out: 8-byte fields in this order.
#pragma once

#include <algorithm>

#include "page.h"

namespace l4j::kv {

constexpr int64_t kTileRows = 16;   // query rows that share one reading of the keys and values
constexpr int64_t kRangeKeys = 512; // keys whose softmax is formed apart, then merged

struct AttentionCall {
  Cache cache;
  int64_t queries;  // the last of the cache's positions, unless told otherwise by `to`
  int64_t group;    // query heads for each kv head
  Tokens q;
  Tokens out;
  double scale;
  // A part of a greater attention: query t sees [from[t], to[t]), both rising with t, and its result is merged
  // into out and log_sums, where the result of the parts before lies. Else null.
  const int64_t* from;
  const int64_t* to;
  float* log_sums;  // [queries][heads] with this stride; -infinity where no part was seen
  int64_t log_sum_query;

  // The query rows of a kv head: row = query * group + head within the group.
  int64_t rows() const { return queries * group; }
  int64_t tiles() const { return (rows() + kTileRows - 1) / kTileRows; }
  int64_t ranges() const { return (cache.length + kRangeKeys - 1) / kRangeKeys; }
  int64_t position(int64_t row) const {
    return to != nullptr ? to[row / group] - 1 : cache.length - queries + row / group;
  }
  // The first position that a row sees.
  int64_t first_seen(int64_t row) const { return from != nullptr ? from[row / group] : 0; }
  // How many keys a row sees.
  int64_t visible(int64_t row) const { return position(row) + 1; }
  // Floats of a partial result: maximum and sum of each row, then the outputs.
  int64_t partial() const { return kTileRows * (2 + cache.exact.row); }
};

// Rows [first, first + count) of a kv head.
struct Tile {
  int64_t head;
  int64_t first;
  int64_t count;

  // Tiles taken from both ends in turn: later rows see more keys, so neighbours even out.
  static Tile of(const AttentionCall& call, int64_t item) {
    int64_t n = call.tiles(), i = item % n;
    int64_t tile = i % 2 == 0 ? i / 2 : n - 1 - i / 2;
    int64_t first = tile * kTileRows;
    return {item / n, first, std::min(kTileRows, call.rows() - first)};
  }
};

// The keys of a page that each row of a tile sees: slots [from, to).
struct Seen {
  int64_t from[kTileRows];
  int64_t to[kTileRows];
  bool any;

  // Of the slots [slot, slot + tokens), counted from `slot`.
  Seen within(int64_t slot, int64_t tokens, int64_t rows) const {
    Seen part;
    part.any = false;
    for (int64_t i = 0; i < rows; ++i) {
      part.from[i] = std::clamp<int64_t>(from[i] - slot, 0, tokens);
      part.to[i] = std::clamp<int64_t>(to[i] - slot, part.from[i], tokens);
      part.any |= part.from[i] < part.to[i];
    }
    return part;
  }

  // Bounds rise with the row, so of most pages its ends tell all.
  template <class From, class To>
  static Seen of(const Tile& tile, From from, To to) {
    Seen seen;
    int64_t last = tile.first + tile.count - 1;
    bool none = to(last) <= 0 || from(tile.first) >= kPageTokens;
    if (none || (from(last) <= 0 && to(tile.first) >= kPageTokens)) {
      std::fill(seen.from, seen.from + tile.count, 0);
      std::fill(seen.to, seen.to + tile.count, none ? 0 : kPageTokens);
      seen.any = !none;
      return seen;
    }
    seen.any = false;
    for (int64_t i = 0; i < tile.count; ++i) {
      seen.from[i] = std::clamp<int64_t>(from(tile.first + i), 0, kPageTokens);
      seen.to[i] = std::clamp<int64_t>(to(tile.first + i), seen.from[i], kPageTokens);
      seen.any |= seen.from[i] < seen.to[i];
    }
    return seen;
  }
};

}  // namespace l4j::kv

// Which tile of an expert's products a block makes, where experts have many tokens.
#pragma once
#include "experts.cuh"

/// Experts with more tokens than kFew have tiles.
constexpr int kFew = 16, kAny = 0x7fffffff;
/// Tiles of one expert's tokens that go through the weights together; their rows of x stay in the second-level cache.
constexpr int kTogether = 16;

/// A block's work: tokens [first, first + count) of an expert, weight rows from `column`.
struct Work {
  int expert, first, count, column;
};

/// The work of this block: `columns` pieces of `width` weight rows each for every started `tile` of tokens.
template <int tile>
__device__ __forceinline__ bool find(const int* offsets, int experts, int columns, int width, Work& work) {
  int piece = blockIdx.x;
  work.expert = find_work(offsets, experts, kFew, kAny, tile, columns, piece);
  if (work.expert < 0) return false;
  int begin = offsets[work.expert], tokens = offsets[work.expert + 1] - begin, tiles = (tokens + tile - 1) / tile;
  int set = piece / (kTogether * columns), together = min(kTogether, tiles - set * kTogether);
  int inside = piece - set * kTogether * columns;
  int own = set * kTogether + inside % together;
  work.first = begin + own * tile;
  work.count = min(tile, tokens - own * tile);
  work.column = inside / together * width;
  return true;
}

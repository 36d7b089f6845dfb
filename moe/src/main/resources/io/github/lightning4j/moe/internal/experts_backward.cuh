// Who works where in the gradients of the experts: what both of their files share.
// Constant: TILE, tokens of a block, 64 or 128; BITS is 16.
#pragma once
#include "experts.cuh"
#include "product_cuda.cuh"

constexpr int kAny = 0x7fffffff;

/// A block's tile: slots [first, first + count) of an expert, columns from `column`.
struct TokenTile {
  int expert, first, count, column;
};

/// Tiles of tokens of one expert that use the same weights stand beside one another. False where there is no work.
__device__ __forceinline__ bool find_tile(const int* offsets, int experts, int width, int columns, TokenTile& tile) {
  int piece = blockIdx.x;
  tile.expert = find_work(offsets, experts, 0, kAny, TILE, (columns + width - 1) / width, piece);
  if (tile.expert < 0) return false;
  int begin = offsets[tile.expert], tokens = offsets[tile.expert + 1] - begin, tiles = (tokens + TILE - 1) / TILE;
  tile.first = begin + piece % tiles * TILE;
  tile.count = min(TILE, tokens - piece % tiles * TILE);
  tile.column = piece / tiles * width;
  return true;
}

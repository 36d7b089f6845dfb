// The gradients of the experts, second part: what experts_backward.cu left, times weights and tokens.
//
//   rows[slot] = W1_e^T dg + W3_e^T du                                      gradient_rows; combine adds those of a token
//   dW1_e = sum dg x^T    dW3_e = sum du x^T    dW2_e = sum d weighted^T    gradient_matrices, over the expert's slots
//
// Operands are taken as they lie: weights with a row for each k, and where K is the slots of an expert both operands
// are, tokens gathered while they are copied. An expert without tokens has no steps, and its gradients are zeros.
// The tiles of a matrix stand beside one another in the grid, so that what its expert got stays in the L2 cache.
// Numerics: bf16 products, fp32 sums in the order of K, fp32 results: nothing is dropped, nothing added by atomics.
// Cost: 10 H I operations a pair; 12 H I bytes of gradients an expert are written once.
// Constants: BITS 16; TILE, 64 or 128: a block makes TILE x TILE; STAGES.
#include "experts_backward.cuh"

typedef TileOf<TILE, TILE, TILE / 2> Tile;
constexpr int kThreads = Tile::kThreads;
constexpr int kBlocks = kThreads == 128 ? 3 : 2;

struct Rows {
  bf16 d[TILE][kDepth];
  bf16 w[kDepth][TILE];
};

struct Outer {
  bf16 left[kDepth][TILE];
  bf16 right[kDepth][TILE];
};

__device__ __forceinline__ void put(const Tile::Sums& sum, float* out, int64_t ldo, int rows, int columns) {
  Tile::for_pairs([&](int i, int at, int down, int across, int e) {
    // Widths are multiples of 8.
    if (i < rows && at < columns) {
      store(out + i * ldo + at, {sum[down][across][e], sum[down][across][e + 1]});
    }
  });
}

/// n = I, h = H; rows [slots, h].
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    gradient_rows(const bf16* dg, const bf16* du, const int* offsets, int experts, const bf16* gate, const bf16* up,
                  int n, int h, float* rows) {
  L4J_DYNAMIC_SHARED(memory);
  Rows* stages = reinterpret_cast<Rows*>(memory);
  TokenTile tile;
  if (!find_tile(offsets, experts, TILE, h, tile)) return;
  int64_t matrix = int64_t(tile.expert) * h * n + tile.column, first = int64_t(tile.first) * n;
  int columns = min(TILE, h - tile.column), half = steps_of(n);
  float sum[Tile::kDown][Tile::kAcross][4] = {};
  for_stages<STAGES>(
      2 * half,
      [&](int stage, int step) {
        bool second = step >= half;
        int at = (second ? step - half : step) * kDepth;
        bring_rows<kThreads>(stages[stage].d, (second ? du : dg) + first, n, tile.count, at, n);
        bring_depths<kThreads>(stages[stage].w, (second ? up : gate) + matrix, h, columns,
                               [&](int k) { return at + k < n ? int64_t(at) + k : -1; });
      },
      [&](int stage, int) {
        multiply_stage(Along{stages[stage].d[0]}, Tile::row(), Down<TILE>{stages[stage].w[0]}, Tile::column(), sum);
      });
  put(sum, rows + int64_t(tile.first) * h + tile.column, h, tile.count, columns);
}

/// Block (tile, which, expert): a tile of dW1 [n, h], dW3 [n, h] or dW2 [h, n].
extern "C" __global__ void __launch_bounds__(kThreads, kBlocks)
    gradient_matrices(const bf16* dg, const bf16* du, const bf16* weighted, const bf16* x, int64_t ldx, const bf16* d,
                      int64_t ldd, const int* sources, const int* offsets, int n, int h, float* d_gate, float* d_up,
                      float* d_down) {
  L4J_DYNAMIC_SHARED(memory);
  Outer* stages = reinterpret_cast<Outer*>(memory);
  bool last = blockIdx.y == 2;
  int begin = offsets[blockIdx.z], count = offsets[blockIdx.z + 1] - begin;
  int height = last ? h : n, width = last ? n : h, across = (width + TILE - 1) / TILE;
  int row = blockIdx.x / across * TILE, column = blockIdx.x % across * TILE;
  // The gathered rows are those of x or d, the others those of the slots.
  const bf16* slots = (last ? weighted + column : blockIdx.y == 0 ? dg + row : du + row) + int64_t(begin) * n;
  const bf16* tokens = last ? d + row : x + column;
  int64_t ld = last ? ldd : ldx;
  int own = n - (last ? column : row), gathered = h - (last ? row : column);
  sources += begin;
  float sum[Tile::kDown][Tile::kAcross][4] = {};
  for_stages<STAGES>(
      steps_of(count),
      [&](int stage, int step) {
        int at = step * kDepth;
        Outer& to = stages[stage];
        bring_depths<kThreads>(last ? to.right : to.left, slots, n, own,
                               [&](int k) { return at + k < count ? int64_t(at) + k : -1; });
        bring_depths<kThreads>(last ? to.left : to.right, tokens, ld, gathered,
                               [&](int k) { return at + k < count ? int64_t(sources[at + k]) : -1; });
      },
      [&](int stage, int) {
        multiply_stage(Down<TILE>{stages[stage].left[0]}, Tile::row(), Down<TILE>{stages[stage].right[0]},
                       Tile::column(), sum);
      });
  float* out = (last ? d_down : blockIdx.y == 0 ? d_gate : d_up) + int64_t(blockIdx.z) * n * h;
  put(sum, out + int64_t(row) * width + column, width, height - row, width - column);
}

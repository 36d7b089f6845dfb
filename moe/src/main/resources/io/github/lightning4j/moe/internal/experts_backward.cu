// The gradients of the experts, first part: back through the second layer and the gate.
//
//   g = W1 x    u = W3 x    q = W2^T d    s = sigmoid(g)    h = g s u     x, d: token and gradient of its output
//   dg = w q u s (1 + g (1 - s))          du = w q g s                    w: the token's weight at this expert
//   weighted = w h                        d_weight = (h, q)
//
// A block makes TILE tokens by 64 columns of g, u and q at once: all three have K = H, so tokens and gradients, gathered
// while they are copied, are read once for them, and what comes of the three stays in registers. W2 is taken as it lies:
// a row for each k. Sums over the columns of d_weight leave a number a token and block, added in order afterwards.
// The grid is as large as the tokens allow; which blocks have work is found out on the GPU.
// Numerics: bf16 products, fp32 sums; g, u and q are not rounded, dg, du and weighted rows are, to bf16.
// Cost: 6 H I operations a pair. Constants: BITS 16; TILE, 64 or 128 tokens; STAGES.
#include "experts_backward.cuh"

constexpr int kColumns = 64;
typedef TileOf<TILE, kColumns, 32> Tile;
constexpr int kThreads = Tile::kThreads;

struct Stage {
  bf16 x[TILE][kDepth];
  bf16 d[TILE][kDepth];
  bf16 gate[kColumns][kDepth];
  bf16 up[kColumns][kDepth];
  bf16 down[kDepth][kColumns];
};

struct Shared {
  Stage stages[STAGES];
  int tokens[TILE];
  float weights[TILE];
  float along[Tile::kWarpsAcross][TILE];
};

/// h = H, n = I. dg, du and weighted [slots, n]; parts [blocks of columns][pairs].
extern "C" __global__ void __launch_bounds__(kThreads, 1)
    backward_hidden(const bf16* x, int64_t ldx, const bf16* d, int64_t ldd, const int* sources, const int* positions,
                    const float* weight, int k, const int* offsets, int experts, const bf16* gate, const bf16* up,
                    const bf16* down, int h, int n, int64_t pairs, bf16* dg, bf16* du, bf16* weighted, float* parts) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  TokenTile tile;
  if (!find_tile(offsets, experts, kColumns, n, tile)) return;
  for (int i = threadIdx.x; i < TILE; i += kThreads) {
    int slot = tile.first + i, token = i < tile.count ? sources[slot] : -1;
    shared.tokens[i] = token;
    for (int j = 0; token >= 0 && j < k; j++) {
      int64_t pair = int64_t(token) * k + j;
      if (positions[pair] == slot) shared.weights[i] = weight[pair];
    }
  }
  __syncthreads();
  int64_t matrix = int64_t(tile.expert) * h * n;
  gate += matrix + int64_t(tile.column) * h;
  up += matrix + int64_t(tile.column) * h;
  down += matrix + tile.column;
  int columns = min(kColumns, n - tile.column);
  float g[Tile::kDown][Tile::kAcross][4] = {}, u[Tile::kDown][Tile::kAcross][4] = {};
  float q[Tile::kDown][Tile::kAcross][4] = {};
  auto token = [&](int i) { return int64_t(shared.tokens[i]); };
  for_stages<STAGES>(
      steps_of(h),
      [&](int stage, int step) {
        Stage& to = shared.stages[stage];
        int at = step * kDepth;
        bring_gathered<kThreads>(to.x, x, ldx, at, h, token);
        bring_gathered<kThreads>(to.d, d, ldd, at, h, token);
        bring_rows<kThreads>(to.gate, gate, h, columns, at, h);
        bring_rows<kThreads>(to.up, up, h, columns, at, h);
        bring_depths<kThreads>(to.down, down, n, columns,
                               [&](int row) { return at + row < h ? int64_t(at) + row : -1; });
      },
      [&](int stage, int) {
        const Stage& from = shared.stages[stage];
        multiply_stage(Along{from.x[0]}, Tile::row(), Along{from.gate[0]}, Tile::column(), g);
        multiply_stage(Along{from.x[0]}, Tile::row(), Along{from.up[0]}, Tile::column(), u);
        multiply_stage(Along{from.d[0]}, Tile::row(), Down<kColumns>{from.down[0]}, Tile::column(), q);
      });
  float along[Tile::kDown][2] = {};
  Tile::for_pairs([&](int i, int at, int row, int across, int e) {
    float w = shared.weights[i], to[3][2];
    if (i >= tile.count || at >= columns) return;
#pragma unroll
    for (int c = 0; c < 2; c++) {
      float own = g[row][across][e + c], other = u[row][across][e + c], slope = q[row][across][e + c];
      float s = __fdividef(1.0f, 1.0f + __expf(-own)), gated = own * s;
      along[row][e / 2] += gated * other * slope;
      to[0][c] = w * slope * other * s * (1.0f + own * (1.0f - s));
      to[1][c] = w * slope * gated;
      to[2][c] = w * gated * other;
    }
    int64_t place = int64_t(tile.first + i) * n + tile.column + at;
    *reinterpret_cast<uint32_t*>(dg + place) = pack_bf16(to[0][0], to[0][1]);
    *reinterpret_cast<uint32_t*>(du + place) = pack_bf16(to[1][0], to[1][1]);
    *reinterpret_cast<uint32_t*>(weighted + place) = pack_bf16(to[2][0], to[2][1]);
  });
  int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int i = 0; i < Tile::kDown * 2; i++) {
    float sum = along[i / 2][i % 2];
    sum += __shfl_xor_sync(kAllLanes, sum, 1);
    sum += __shfl_xor_sync(kAllLanes, sum, 2);
    if (lane % 4 == 0) shared.along[Tile::column() / 32][Tile::row() + i * 8 + lane / 4] = sum;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < tile.count; i += kThreads) {
    float sum = 0;
    for (int warp = 0; warp < Tile::kWarpsAcross; warp++) sum += shared.along[warp][i];
    parts[tile.column / kColumns * pairs + tile.first + i] = sum;
  }
}

/// d_weight [T, k], a thread a pair: the sum of what `blocks` blocks of columns left.
extern "C" __global__ void __launch_bounds__(256)
    backward_shares(const float* parts, int blocks, const int* positions, int64_t pairs, float* d_weight) {
  int64_t pair = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (pair >= pairs) return;
  int slot = positions[pair];
  float sum = 0;
  for (int block = 0; block < blocks; block++) sum += parts[block * pairs + slot];
  d_weight[pair] = sum;
}

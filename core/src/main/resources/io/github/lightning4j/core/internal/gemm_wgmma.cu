// out = x w^T for many rows of x and weights in bf16, by warp groups: what gemm_tiles does, for Hopper alone (sm_90a).
//
// A block makes 64 GROUPS x COLUMNS of out. Sums go through shared memory once at the end, so that rows of
// out are written, and of the residual read, by neighbours four at a time.
// Constants: O the code of the type of out; COLUMNS 256 or 128; GROUPS; STAGES.
#include "wgmma_tile_cuda.cuh"

typedef ElementOf<O>::type Output;
typedef GroupStage<COLUMNS> Stage;

static_assert(STAGES * sizeof(Stage) >= kTileRows * kPitch<COLUMNS> * sizeof(float), "the sums fit the ring");

/// Where a block's operands come from; rows from `rows` and `columns` on, and what is beyond K, become zeros.
struct Operands {
  const bf16 *x, *w;
  int64_t ldx, ldw;
  int rows, columns, start, end;

  __device__ __forceinline__ void bring(Stage& to, int step) const {
    bring_rows<kTileThreads>(to.x, x, ldx, rows, start + step * kDepth, end);
    bring_rows<kTileThreads>(to.w, w, ldw, columns, start + step * kDepth, end);
  }
};

/// Whether rows that start at `at` and are `ld` apart can be taken four elements at a time.
template <class T>
__device__ __forceinline__ bool in_fours(const T* at, int64_t ld) {
  return reinterpret_cast<uint64_t>(at) % (4 * sizeof(T)) == 0 && ld % 4 == 0;
}

/// n sums of a row, n elements of out: n is 4 where addresses allow, else 1.
template <int n>
__device__ __forceinline__ void finish(const float* sums, float alpha, const Output* residual, float beta, Output* out) {
  float all[n], other[n] = {};
  load<float, n>(sums, all);
  if (residual != nullptr) load<Output, n>(residual, other);
#pragma unroll
  for (int i = 0; i < n; i++) {
    all[i] *= alpha;
    if (residual != nullptr) all[i] = fmaf(beta, other[i], all[i]);
  }
  store<Output, n>(out, all);
}

/// Tile (blockIdx.x, blockIdx.y) of out over the part blockIdx.z of K: arguments as of gemm_tiles, of which those of
/// codes are null here.
extern "C" __global__ void __launch_bounds__(kTileThreads, COLUMNS == 128 ? 2 : 1)
    gemm_wgmma(const bf16* x, int64_t ldx, const bf16* w, int64_t row_bytes, const bf16* scales, const uint8_t* zeros,
               int blocks, int m, int n, int k, int span, float* partial, Output* out, int64_t ldo, float alpha,
               const Output* residual, int64_t ldr, float beta) {
  L4J_DYNAMIC_SHARED(memory);
  int64_t first_row = int64_t(blockIdx.x) * kTileRows, first_column = int64_t(blockIdx.y) * COLUMNS;
  int64_t ldw = row_bytes / int(sizeof(bf16));
  int rows = min(kTileRows, int(m - first_row)), columns = min(COLUMNS, int(n - first_column));
  int start = blockIdx.z * span, end = min(k, start + span);
  Operands operands = {x + first_row * ldx, w + first_column * ldw, ldx, ldw, rows, columns, start, end};
  float d[COLUMNS / 2];
  multiply_steps<STAGES>(reinterpret_cast<Stage*>(memory), operands, rows, (end - start + kDepth - 1) / kDepth, d);

  float* sums = reinterpret_cast<float*>(memory);
  lay_out<COLUMNS>(sums, Pairs<COLUMNS>{d});
  bool fours = partial == nullptr && in_fours(out + first_row * ldo + first_column, ldo) &&
               in_fours(residual == nullptr ? nullptr : residual + first_row * ldr + first_column, ldr);
  for (int unit = threadIdx.x; unit < rows * (COLUMNS / 4); unit += kTileThreads) {
    int row = unit / (COLUMNS / 4), column = unit % (COLUMNS / 4) * 4;
    const float* from = sums + row * kPitch<COLUMNS> + column;
    int64_t to_row = first_row + row, to_column = first_column + column;
    if (fours && column + 4 <= columns) {
      finish<4>(from, alpha, residual == nullptr ? nullptr : residual + to_row * ldr + to_column, beta,
                out + to_row * ldo + to_column);
      continue;
    }
    for (int i = 0; i < min(4, columns - column); i++) {
      if (partial != nullptr) {
        partial[(int64_t(blockIdx.z) * m + to_row) * n + to_column + i] = from[i];
      } else {
        finish<1>(from + i, alpha, residual == nullptr ? nullptr : residual + to_row * ldr + to_column + i, beta,
                  out + to_row * ldo + to_column + i);
      }
    }
  }
}

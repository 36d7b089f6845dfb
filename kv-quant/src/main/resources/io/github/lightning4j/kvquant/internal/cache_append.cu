// Keys and values of new tokens into pages of bf16.
//
// A page has 64 tokens: for each kv head their keys [64, D], then their values [64, D]. Bound by memory; a block a
// token. Which page takes a token is read from the table of its sequence, so that a launch recorded once serves every
// step.
// Constants: X the code of the input type; D; VECTOR elements at once, 8 or 4 (fp32), or 1.
#include "core_cuda.cuh"

typedef ElementOf<X>::type Input;

constexpr int kPageTokens = 64;

/// The sequence among `rows` that has token t; offsets ascend.
__device__ __forceinline__ int row_of(const int* offsets, int rows, int t) {
  int low = 0, high = rows;
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (offsets[middle] <= t) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

/// Token t of row b stands at starts[b] + t - offsets[b] (starts[t] where there are no offsets) of sequences[b]. Tokens
/// outside all rows, of sequence -1 or without a page are left out.
extern "C" __global__ void __launch_bounds__(256)
    cache_append(const Input* k, int64_t k_token, int64_t k_head, const Input* v, int64_t v_token, int64_t v_head,
                 int heads, bf16* pages, const int* table, int pages_each, const int* sequences, const int* starts,
                 const int* offsets, int rows) {
  int t = blockIdx.x;
  int row = offsets != nullptr ? row_of(offsets, rows, t) : t;
  if (offsets != nullptr && (t < offsets[row] || t >= offsets[row + 1])) return;
  int position = starts[row] + (offsets != nullptr ? t - offsets[row] : 0), sequence = sequences[row];
  int at = position / kPageTokens;
  if (sequence < 0 || position < 0 || at >= pages_each) return;
  int page = table[int64_t(sequence) * pages_each + at];
  if (page < 0) return;
  int64_t elements = int64_t(heads) * 2 * kPageTokens * D;
  constexpr int kVectors = D / VECTOR;
  for (int unit = threadIdx.x; unit < 2 * heads * kVectors; unit += blockDim.x) {
    int side = unit / (heads * kVectors), head = unit / kVectors % heads, channel = unit % kVectors * VECTOR;
    float x[VECTOR];
    load(side == 0 ? k + t * k_token + head * k_head + channel : v + t * v_token + head * v_head + channel, x);
    int64_t block = int64_t(2 * head + side) * kPageTokens * D + channel;
    store(pages + page * elements + block + position % kPageTokens * D, x);
  }
}

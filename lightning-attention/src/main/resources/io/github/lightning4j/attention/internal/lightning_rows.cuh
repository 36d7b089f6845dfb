// The rows of one sequence and head in either order, and their way to shared memory.
#pragma once
#include "lightning_chunk.cuh"

/// The tokens of a block: `count` from `first` on in row `row`, in one head.
struct Span {
  int64_t row;
  int first, count, head;
  float log_decay, scale;
};

/// The rows of a span in the order that a kind of block takes them.
template <class T>
struct Rows {
  T* at;
  int64_t token;

  template <class Kind>
  __device__ __forceinline__ static Rows of(T* x, int64_t row, int64_t token, int64_t head, const Span& span,
                                            Kind) {
    int first = Kind::kReversed ? span.first + span.count - 1 : span.first;
    return {x + span.row * row + first * token + span.head * head, Kind::kReversed ? -token : token};
  }
};

/// Starts to bring the m rows from t on to shared memory, zeros behind them.
template <int width, int pitch>
__device__ __forceinline__ void bring(bf16 (&to)[kChunk][pitch], const Rows<const bf16>& from, int t, int m) {
  constexpr int kVectors = width / 8;
  for (int unit = threadIdx.x; unit < kChunk * kVectors; unit += kThreads) {
    int row = unit / kVectors, column = unit % kVectors * 8;
    copy_async(&to[row][column], from.at + (row < m ? (t + row) * from.token + column : 0), row < m);
  }
}

/// Applies SiLU to what this thread has brought.
template <bool wanted, int width, int pitch>
__device__ __forceinline__ void finish(bf16 (&rows)[kChunk][pitch]) {
  constexpr int kVectors = width / 8;
#pragma unroll 1
  for (int unit = threadIdx.x; wanted && unit < kChunk * kVectors; unit += kThreads) {
    bf16* at = &rows[unit / kVectors][unit % kVectors * 8];
    float x[8];
    load(at, x);
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = silu(x[i]);
    store(at, x);
  }
}

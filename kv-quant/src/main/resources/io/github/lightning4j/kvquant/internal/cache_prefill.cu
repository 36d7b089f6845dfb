// Causal attention of pieces of prompts over pages, on tensor cores: over their own tokens and what came before, in
// bf16 or quantized.
//
//   out[t, h] = sum over s <= position(t) of p[s] v[s],   p = softmax over s of scale q[t, h] . k[s]
//
// A block of four warps has kRows rows of one kv head: the queries of neighbouring tokens, all query heads of the kv
// head, token by token, so that keys and values are fetched, and quantized ones restored, once for all of them. It goes
// through the pages in order, with a softmax by running maximum: first what its rows see as quantized, then tokens of
// bf16, then the page of sinks. Pages come one ahead by copies in the background, packed ones as they lie; these go to
// the second of two places and are restored into the first (cache_restore.cuh). Blocks of the last tokens, which see
// most, come first. Where blocks are few, each goes through a split of the pages, and cache_merge.cu joins them.
//
// Numerics: queries, weights and restored tokens are rounded to bf16, sums are fp32. Scores of tokens that a row does
// not see are left out whatever they are; a value of the block's own tokens that is not finite shows in rows of the
// block before it too.
// Constants: X, O the codes of the types of queries and outputs; VECTOR, 16 bytes of X and pairs of O at once, or 1;
// those of cache_restore.cuh, BITS 16 where nothing is quantized.
#include "prefill_pages.cuh"
#if BITS < 16
#include "cache_restore.cuh"
#endif

typedef ElementOf<X>::type Input;
typedef ElementOf<O>::type Output;

// Pages that are worth a split.
constexpr int kLeastPages = 4;

struct Shared {
  bf16 q[kRows][kPitch];
  Page page[2];
  float mean[D];
  int sinks[kPageTokens];
};

/// A block's part of the work: rows [first, ...) of piece `piece`, `count` tokens from `token` of the call on.
struct Work {
  int piece, first, token, count;
};

/// Blocks are given to pieces in order, as many as their rows take; those that are left over get none.
__device__ __forceinline__ Work work_of(int block, const int* offsets, int pieces, int group) {
  for (int i = 0; i < pieces; i++) {
    int count = offsets != nullptr ? offsets[i + 1] - offsets[i] : 1;
    int blocks = (count * group + kRows - 1) / kRows;
    if (block < blocks) return {i, (blocks - 1 - block) * kRows, offsets != nullptr ? offsets[i] : i, count};
    block -= blocks;
  }
  return {-1};
}

/// Up to where the token at `position` sees others as quantized.
__device__ __forceinline__ int border_of(int position, const int* aged_length, int window, int flush) {
  if (aged_length == nullptr) return 0;
  return max(0, min(position + 1, *aged_length) - window) / flush * flush;
}

/// Writes a lane's rows: divided by their sums, or as they are where they are joined with other splits.
__device__ __forceinline__ void write(const Softmax& softmax, const Work& work, int rows, int group, bool none,
                                      Output* out, int64_t o_token, int64_t o_head, float* sums, float* stats,
                                      int64_t token_stride, int64_t head_stride) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
#pragma unroll
  for (int m = 0; m < kTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float sum = softmax.sum[m][half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      int row = warp * kWarpRows + 16 * m + 8 * half + lane / 4, at = work.first + row;
      if (row >= rows) continue;
      if (sums != nullptr) {
        int64_t to = at / group * token_stride + at % group * head_stride;
        if (lane % 4 == 0) {
          stats[2 * to] = softmax.max[m][half];
          stats[2 * to + 1] = sum;
        }
        if (sum == 0) continue;
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
          float pair[2] = {softmax.o[m][n][2 * half], softmax.o[m][n][2 * half + 1]};
          store(sums + to * D + lane % 4 * 2 + n * 8, pair);
        }
        continue;
      }
      Output* to = out + at / group * o_token + at % group * o_head + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < D / 8; n++) {
        float pair[2] = {softmax.o[m][n][2 * half], softmax.o[m][n][2 * half + 1]};
        pair[0] = none ? 0.0f : pair[0] / sum;
        pair[1] = none ? 0.0f : pair[1] / sum;
        if (VECTOR > 1) {
          store(to + n * 8, pair);
        } else {
          to[n * 8] = narrow<Output>(pair[0]);
          to[n * 8 + 1] = narrow<Output>(pair[1]);
        }
      }
    }
  }
}

/// Block (part of the work, kv head, split). Piece i is tokens [offsets[i], offsets[i + 1]) of q and out (token i where
/// there are no offsets), from position starts[i] of sequences[i] on; -1 is none, and its outputs become zero. Keys and
/// values of all of them are in the pages. A token at position p sees as quantized what has left the window of a
/// sequence of min(p + 1, aged_lengths[i]) tokens, but for sinks, which lie in pages of their own, one a sequence: slot
/// i that of position sink_positions[sequence][i], ascending, of 64. A sequence of which something was spoiled gives
/// NaN. means [kv heads, D], turns [pages_each, HALF, 2] and inner [64, HALF, 2] as cache_restore.cuh, places and the
/// last two with TURN pairs as cache_group.cuh. Where sums are
/// given, splits are written as [token, head, split]: sums [.., D] and stats [.., 2] = (maximum, sum of exponentials)
/// in powers of two.
extern "C" __global__ void __launch_bounds__(kThreads)
    cache_prefill(const Input* q, int64_t q_token, int64_t q_head, int group, float scale, const bf16* pages,
                  int64_t page_bytes, const int* table, const uint8_t* aged, int64_t aged_bytes, const int* aged_table,
                  int pages_each, const int* sequences, const int* starts, const int* offsets, int pieces,
                  const int* aged_lengths, int window, int flush, const bf16* sinks, const int* sink_positions,
                  const int* spoiled, const float* means, const float* turns, const float* inner,
                  const int* places, Output* out, int64_t o_token, int64_t o_head, float* sums, float* stats) {
  L4J_DYNAMIC_SHARED(memory);
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  Work work = work_of(blockIdx.x, offsets, pieces, group);
  if (work.piece < 0) return;
  int head = blockIdx.y, heads = gridDim.y, warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int sequence = sequences[work.piece], start = starts[work.piece];
  int rows = min(kRows, work.count * group - work.first);
  q += work.token * q_token + int64_t(head) * group * q_head;
  constexpr int kVectors = D / VECTOR;
  for (int unit = threadIdx.x; unit < kRows * kVectors; unit += kThreads) {
    int row = unit / kVectors, channel = unit % kVectors * VECTOR, at = work.first + row;
    float x[VECTOR] = {};
    if (row < rows && sequence >= 0) load(q + at / group * q_token + at % group * q_head + channel, x);
    store(&shared.q[row][channel], x);
  }
  // Of the lane's rows, of the warp's first and last and of the block's.
  const int* aged_length = BITS == 16 || aged_lengths == nullptr ? nullptr : aged_lengths + work.piece;
  Rows own;
  Softmax softmax = {};
#pragma unroll
  for (int m = 0; m < kTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int at = work.first + min(rows - 1, warp * kWarpRows + 16 * m + 8 * half + lane / 4);
      own.last[m][half] = start + at / group;
      own.border[m][half] = border_of(own.last[m][half], aged_length, window, flush);
      softmax.max[m][half] = minus_infinity();
    }
  }
  int warp_last[2] = {start + (work.first + min(rows - 1, warp * kWarpRows)) / group,
                      start + (work.first + min(rows, (warp + 1) * kWarpRows) - 1) / group};
  int warp_border[2] = {border_of(warp_last[0], aged_length, window, flush),
                        border_of(warp_last[1], aged_length, window, flush)};
  int last = start + (work.first + rows - 1) / group;
  int least = border_of(start + work.first / group, aged_length, window, flush);
  int most = border_of(last, aged_length, window, flush);

  Pages list = {};
  if (sequence >= 0) {
    list.packed = (most + kPageTokens - 1) / kPageTokens;
    list.first = least / kPageTokens;
    // Without a window, rows that are quantized at once see nothing else.
    bool exact = aged_length == nullptr || most <= last || window > 0 || flush > 1;
    list.exact = exact ? last / kPageTokens + 1 - list.first : 0;
  }
  if (BITS < 16 && sink_positions != nullptr && threadIdx.x < kPageTokens) {
    shared.sinks[threadIdx.x] = sequence < 0 ? 0x7fffffff : sink_positions[sequence * kPageTokens + threadIdx.x];
  }
  // Of the sequence's sinks those that are kept already.
  int kept = 0;
  if (BITS < 16 && sink_positions != nullptr && sequence >= 0) {
    const int* of = sink_positions + sequence * kPageTokens + lane;
    kept = __popc(__ballot_sync(kAllLanes, of[0] < most)) + __popc(__ballot_sync(kAllLanes, of[kWarp] < most));
    list.sinks = kept > 0;
  }
  int count = list.count(), splits = gridDim.z, each = max(kLeastPages, (count + splits - 1) / splits);
  int begin = splits > 1 ? min(count, int(blockIdx.z) * each) : 0;
  int end = splits > 1 ? min(count, begin + each) : count;
  if (BITS < 16 && list.packed > begin && begin < end && spoiled != nullptr && spoiled[sequence] != 0) {
#pragma unroll
    for (int m = 0; m < kTiles; m++) softmax.sum[m][0] = softmax.sum[m][1] = not_a_number();
  }
  // What packed tokens are restored from.
  uint8_t* raw = reinterpret_cast<uint8_t*>(&shared.page[1]);
  static_assert(2 * kUnitBytes <= sizeof(Page), "a packed page has to fit the place of a page of bf16");
#if GROUPED > 0
  static_assert(kUnitBytes + kWarps * kGathered * kKeyRow <= sizeof(Page), "so have codes of keys");
#endif
  // Starts to copy what page i of the list has, and tells where that lies; -1 if it is missing.
  auto bring = [&](int i) {
    Kind kind = list.kind(i);
    int number = list.number(i);
    const int* of = (kind == kPacked ? aged_table : table) + int64_t(sequence) * pages_each;
    int at = kind == kSinks ? sequence : number < pages_each ? of[number] : -1;
    if (at < 0) return at;
    if (kind == kPacked) {
      const uint8_t* keys = aged + at * aged_bytes;
      fetch_packed(keys + int64_t(head) * kUnitBytes, keys + keys_bytes(heads) + int64_t(head) * kUnitBytes, raw);
    } else {
      int position = number * kPageTokens, from = kind == kSinks ? 0 : least - position;
      const bf16* keys = (kind == kSinks ? sinks : pages) + at * (page_bytes / 2) + int64_t(head) * 2 * kPageTokens * D;
      fetch(keys, from, kind == kSinks ? kept : last + 1 - position, shared.page[list.place(i, begin)]);
    }
    return at;
  };
  int page = begin < end ? bring(begin) : -1;
  commit_copies();
  for (int i = begin; i < end; i++) {
    Seen seen = {list.kind(i), list.number(i) * kPageTokens, 0, shared.sinks};
    Page& place = shared.page[list.place(i, begin)];
#if BITS < 16
    if (HALF > 0 && seen.kind == kPacked && page >= 0) {
      turn_mean(means + head * D, turns + int64_t(list.number(i)) * 2 * HALF, shared.mean);
    }
#endif
    wait_copies<0>();
    __syncthreads();
#if BITS < 16
    if (seen.kind == kPacked) {
      if (sink_positions != nullptr) seen.gone = gone(shared.sinks, seen.position);
      if (page >= 0) {
        uint64_t unseen = seen.gone | (most - seen.position < kPageTokens ? ~0ull << (most - seen.position) : 0ull);
        restore<false>(raw, unseen, shared.mean, inner, place.v);
#if GROUPED > 0
        restore_keys({places, turns, inner, head, heads}, aged + page * aged_bytes, seen.position, warp * 16, 16,
                     raw + kUnitBytes + warp * kGathered * kKeyRow, place.k[warp * 16], kPitch);
#else
        restore<true>(raw + kUnitBytes, unseen, shared.mean, inner, place.k);
#endif
      }
      __syncthreads();
    }
#endif
#if TURN > 0
    if (seen.kind != kPacked && page >= 0) {
      turn_keys(seen, turns, inner, pages_each * kPageTokens, place);
      __syncthreads();
    }
#endif
    int next = i + 1 < end ? bring(i + 1) : -1;
    commit_copies();
    for (int key = 0; key < kPageTokens; key += kStep) {
      if (!seen.some(key, kStep, warp_border, warp_last)) continue;
      if (page >= 0) {
        attend(shared.q, place, key, scale, seen, seen.all(key, kStep, warp_border, warp_last), own, softmax);
        continue;
      }
#pragma unroll
      for (int m = 0; m < kTiles; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          for (int slot = key; slot < key + kStep; slot++) {
            if (seen(slot, own.border[m][half], own.last[m][half])) softmax.sum[m][half] = not_a_number();
          }
        }
      }
    }
    page = next;
  }
  if (sums != nullptr) {
    int64_t first = (int64_t(work.token) * heads * group + int64_t(head) * group) * splits + blockIdx.z;
    sums += first * D;
    stats += 2 * first;
  }
  out += work.token * o_token + int64_t(head) * group * o_head;
  write(softmax, work, rows, group, sequence < 0, out, o_token, o_head, sums, stats, int64_t(heads) * group * splits, splits);
}

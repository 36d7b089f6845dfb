// Attention of one query a sequence over its pages: decode steps.
//
//   out[h] = sum_s p[s] v[s],   p = softmax over s of scale q[h] . k[s]
//
// Bound by memory: each key and value is read once for all query heads of its kv head, eight at a time. A block of four
// warps has one sequence, one kv head and one split of its positions; its warps take tiles of tokens in turn, each with
// a softmax of its own by running maximum, and join in the order of warps. cache_merge.cu joins the splits in theirs.
// Lengths and tables of pages are read here, so that a launch recorded once serves every step: a split is as many tiles
// as the length of the moment asks for, and those that are left without say so by a sum of 0.
//
// Where pages hold Had k and Had v, queries are transformed once and the sums once. Where keys are stored before the
// rotary embedding (cache_group.cuh), a warp brings those of a tile to shared memory first, as bf16.
//
// Numerics: queries and weights are rounded to bf16 (fp16 where they meet cosines), sums are fp32. NaN and infinity as
// CacheAttention says; a token that is not seen has no effect, whatever lies there.
// Constants: X the code of the query type; those of cache_tile.cuh; ROTATE, whether Had is between.
#include "cache_tile.cuh"
#include "hadamard.cuh"
#if TURN > 0
#include "cache_group.cuh"
#endif

typedef ElementOf<X>::type Input;

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
// Tiles that are worth a split.
constexpr int kLeastTiles = 256 / kTile;

/// Which positions of a sequence of `length` tokens a launch is over.
enum Part { kAll, kAged, kRecent };

/// Two bits for each eight of a tile's tokens: those of this lane's scores that are in [from, to).
__device__ __forceinline__ uint32_t seen_of(int position, int from, int to) {
  int t = threadIdx.x % 4;
  uint32_t seen = 0;
#pragma unroll
  for (int i = 0; i < 4 * kBlocks; i++) {
    int at = position + i / 2 * 8 + 2 * t + i % 2;
    seen |= uint32_t(at >= from && at < to) << i;
  }
  return seen;
}

/// Takes sinks out of the tokens that are seen; lane l has the sinks l and l + 32 of at most 64.
__device__ __forceinline__ uint32_t without_sinks(uint32_t seen, int position, const int (&sinks)[2]) {
  int t = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    uint32_t found = __ballot_sync(kAllLanes, sinks[half] >= position && sinks[half] < position + kTile);
    for (; found != 0; found &= found - 1) {
      int at = __shfl_sync(kAllLanes, sinks[half], __ffs(found) - 1) - position;
      if (at % 8 / 2 == t) seen &= ~(1u << (at / 8 * 2 + at % 2));
    }
  }
  return seen;
}

/// Brings the block's queries to shared memory as bf16, in the basis of the keys.
__device__ __forceinline__ void bring(const Input* q, int64_t q_head, int count, bf16 (&to)[kHeads][D]) {
  int lane = threadIdx.x % kWarp;
  for (int head = threadIdx.x / kWarp; head < kHeads; head += kWarps) {
    float x[D / kWarp];
#pragma unroll
    for (int i = 0; i < D / kWarp; i++) x[i] = head < count ? widen(q[head * q_head + lane * (D / kWarp) + i]) : 0.0f;
    if (ROTATE && TURN == 0) hadamard(x);
    store(&to[head][lane * (D / kWarp)], x);
  }
}

struct Shared {
  alignas(16) bf16 queries[kHeads][D];
  float max[kWarps][kHeads], sum[kWarps][kHeads];
  // Of each warp; the channels of a head lie 4 floats further for every other head, for the sake of banks.
  float o[kWarps][kHeads][D + 4];
#if TURN > 0
  // Of each warp: the keys of a tile, and what they are restored from.
  alignas(16) bf16 keys[kWarps][kTile][D + 8];
#if GROUPED > 0
  alignas(16) uint8_t rows[kWarps][kGathered * kKeyRow];
#endif
#endif
};

#if TURN > 0 && BITS == 16
/// Brings the keys of a tile that starts in `slot` of a page of bf16 to shared memory, turned to their positions: those
/// of the slots, from `position` on, or those of sinks below `limit`.
__device__ __forceinline__ void bring_keys(const bf16* keys, int slot, int position, const int* sinks,
                                           const float* turns, const float* inner, int limit,
                                           bf16 (&to)[kTile][D + 8]) {
  int lane = threadIdx.x % kWarp;
  for (int i = 0; i < kTile; i++) {
    float x[kLane];
    load(keys + (slot + i) * D + lane * kLane, x);
    int at = sinks == nullptr ? position + i : sinks[slot + i];
    // Places that no sink has are not seen.
    turn_key(x, at < limit ? at : 0, turns, inner);
    store(&to[i][lane * kLane], x);
  }
}
#endif

/// Joins the warps in their order and writes the split's sums and its maximum.
__device__ __forceinline__ void join(const Softmax& softmax, Shared& shared, int count, float* sums, float* stats,
                                     int64_t head_stride) {
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, g = lane / 4, t = lane % 4;
  float sum = softmax.sum, zeros = softmax.zeros;
#pragma unroll
  for (int flip = 1; flip < 4; flip *= 2) {
    sum += __shfl_xor_sync(kAllLanes, sum, flip);
    zeros += __shfl_xor_sync(kAllLanes, zeros, flip);
  }
  float zero_even = __shfl_sync(kAllLanes, zeros, 8 * t), zero_odd = __shfl_sync(kAllLanes, zeros, 8 * t + 4);
  if (t == 0) {
    shared.max[warp][g] = softmax.max;
    shared.sum[warp][g] = sum;
  }
#pragma unroll
  for (int m = 0; m < kValueChannels / 2; m++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float o = softmax.o[m][i];
      if (ZERO > 0 || kBias > 0) o -= i % 2 ? zero_odd : zero_even;
      shared.o[warp][2 * t + i % 2][value_channel(2 * m + i / 2, g)] = o;
    }
  }
  __syncthreads();
  for (int head = warp; head < count; head += kWarps) {
    float most = minus_infinity(), total = 0, row[D / kWarp] = {};
#pragma unroll
    for (int w = 0; w < kWarps; w++) most = fmaxf(most, shared.max[w][head]);
#pragma unroll
    for (int w = 0; w < kWarps; w++) {
      if (shared.sum[w][head] == 0) continue;
      float factor = shared.max[w][head] == most ? 1.0f : exp2f(shared.max[w][head] - most);
      total += shared.sum[w][head] * factor;
#pragma unroll
      for (int i = 0; i < D / kWarp; i++) row[i] += shared.o[w][head][lane * (D / kWarp) + i] * factor;
    }
    if (ROTATE) hadamard(row);
    store(sums + head * head_stride * D + lane * (D / kWarp), row);
    if (lane == 0) {
      stats[head * head_stride * 2] = most;
      stats[head * head_stride * 2 + 1] = total;
    }
  }
}

/// Tokens of a sequence of `length` that have left the window of recent ones.
__device__ __forceinline__ int left(int length, int window, int flush) {
  return max(0, length - window) / flush * flush;
}

/// Block (split, kv head and eight of its `group` query heads, row). The row's query stands at positions[row] of
/// sequences[row]; -1 is none. Splits are written as [row, head, split]: sums [.., D] and stats [.., 2] = (maximum, sum
/// of exponentials) in powers of two, from first_split on of all_splits. Part kAged: positions that have left the window
/// but for sinks, kRecent: those that have not, and in the last split the sinks that have, which lie in pages of their
/// own, one a sequence: slot i that of position sink_positions[sequence][i], ascending, of 64. A sequence of which
/// something was spoiled gives NaN. means [kv heads, D], turns [pages_each, HALF, 2] and angles as cache_mean.cuh;
/// places, turns and inner as cache_group.cuh.
extern "C" __global__ void __launch_bounds__(kThreads)
    cache_decode(const Input* q, int64_t q_row, int64_t q_head, int group, float scale, const uint8_t* pages,
                 int64_t page_bytes, const int* table, int pages_each, const int* sequences, const int* positions,
                 int part, int window, int flush, const uint8_t* sinks, const int* sink_positions, const int* spoiled,
                 const float* means, const float* turns, const uint32_t* angles, const int* places,
                 const float* inner, float* sums, float* stats, int first_split, int all_splits) {
  __shared__ Shared shared;
  int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  int eights = (group + kHeads - 1) / kHeads;
  int kv_head = blockIdx.y / eights, kv_heads = gridDim.y / eights, first_head = blockIdx.y % eights * kHeads;
  int count = min(kHeads, group - first_head), head = kv_head * group + first_head;
  int row = blockIdx.z, sequence = sequences[row], length = sequence < 0 ? 0 : positions[row] + 1;
  int64_t out = (int64_t(row) * kv_heads * group + head) * all_splits + first_split + blockIdx.x;
  sums += out * D;
  stats += out * 2;

  int aged = part == kAll ? 0 : left(length, window, flush);
  int from = part == kRecent ? aged : 0, to = part == kAged ? aged : length;
  int own[2] = {0x7fffffff, 0x7fffffff};
  bool with_sinks = sink_positions != nullptr && sequence >= 0;
  if (with_sinks) {
    own[0] = sink_positions[sequence * 64 + lane];
    own[1] = sink_positions[sequence * 64 + lane + kWarp];
  }
  int splits = gridDim.x, split = blockIdx.x;
  bool of_sinks = part == kRecent && sink_positions != nullptr && split == splits - 1;
  if (of_sinks) {
    from = 0;
    to = __popc(__ballot_sync(kAllLanes, own[0] < aged)) + __popc(__ballot_sync(kAllLanes, own[1] < aged));
    split = 0;
    splits = 1;
  } else if (part == kRecent && sink_positions != nullptr) {
    splits--;
  }
  int first_tile = from / kTile, tiles = (to + kTile - 1) / kTile - first_tile;
  int each = max(kLeastTiles, (tiles + splits - 1) / splits);
  int begin = first_tile + split * each, end = first_tile + min(tiles, (split + 1) * each);
  if (begin >= end || from >= to) {
    if (threadIdx.x < count) {
      stats[threadIdx.x * int64_t(all_splits) * 2] = minus_infinity();
      stats[threadIdx.x * int64_t(all_splits) * 2 + 1] = 0;
    }
    return;
  }
  bring(q + row * q_row + head * q_head, q_head, count, shared.queries);
  __syncthreads();
  uint32_t query[kKeyPairs];
  float query_sum = 0;
#pragma unroll
  for (int i = 0; i < kKeyPairs; i++) {
    const bf16* pair = &shared.queries[lane / 4][key_channel(i, lane % 4)];
    query[i] = *reinterpret_cast<const uint32_t*>(pair);
    query_sum += widen(pair[0]) + widen(pair[1]);
  }
  query_sum += __shfl_xor_sync(kAllLanes, query_sum, 1);
  query_sum += __shfl_xor_sync(kAllLanes, query_sum, 2);

#if HALF > 0
  MeanTerm mean = mean_term(q + row * q_row + (head + lane / 4) * q_head, lane / 4 < count, means + kv_head * D, D, scale);
#else
  MeanTerm mean;
#endif
  Softmax softmax = {minus_infinity()};
  if (spoiled != nullptr && spoiled[sequence] != 0) softmax.sum = __uint_as_float(0x7fc00000u);
  for (int tile = begin + warp; tile < end; tile += kWarps) {
    int position = tile * kTile, at = position / kPageTokens;
    int page = of_sinks ? sequence : at < pages_each ? table[int64_t(sequence) * pages_each + at] : -1;
    if (page < 0) {
      softmax.sum = __uint_as_float(0x7fc00000u);
      continue;
    }
    const uint8_t* keys = (of_sinks ? sinks : pages) + page * page_bytes;
    const uint8_t* values;
    if (BITS == 16) {
      keys += int64_t(kv_head) * 2 * kUnitBytes;
      values = keys + kUnitBytes;
    } else {
      values = keys + keys_bytes(kv_heads) + int64_t(kv_head) * kUnitBytes;
      if (TURN == 0) keys += int64_t(kv_head) * kUnitBytes;
    }
    int slot = position % kPageTokens;
    uint32_t seen = seen_of(position, from, to);
    if (part == kAged && with_sinks) seen = without_sinks(seen, position, own);
    Tile data;
#if TURN > 0
    // Nobody reads the keys of before any more.
    __syncwarp();
#if GROUPED > 0
    restore_keys({places, turns, inner, kv_head, kv_heads}, keys, at * kPageTokens, slot, kTile, shared.rows[warp],
                 shared.keys[warp][0], D + 8);
#else
    bring_keys(reinterpret_cast<const bf16*>(keys), slot, position,
               of_sinks ? sink_positions + sequence * 64 : nullptr, turns, inner, pages_each * kPageTokens,
               shared.keys[warp]);
#endif
    __syncwarp();
    read(reinterpret_cast<const uint8_t*>(shared.keys[warp]), 2 * (D + 8), keys, values, slot, seen, data);
#else
    read(keys + int64_t(slot) * kTokenBytes, kTokenBytes, keys, values, slot, seen, data);
#endif
    attend(data, query, query_sum, scale, seen, mean, turns + int64_t(at) * 2 * HALF,
           angles + slot / 8 * kWarp * HALF / 4, softmax);
  }
  join(softmax, shared, count, sums, stats, all_splits);
}

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
// Quantized tokens x' = s (c - z): codes go to tensor cores as they are; s and z enter with scores and weights,
//   q . k' = s (q . c - z sum q),   sum p v' = sum (p s) c - sum (p s) z
// which is exact but for rounding, since q and p s are summed as they were rounded. Where pages hold Had k and Had v,
// queries are transformed once and the sums once; where keys lack their mean m, turned to their position, the score
// gains q . R_s m: with the queries turned back to the first position of a page, a product of 2 half channels with
// cosines and sines that are the same for all pages.
//
// Numerics: queries and weights are rounded to bf16 (fp16 where they meet cosines), sums are fp32. NaN and infinity as
// CacheAttention says; a token that is not seen has no effect, whatever lies there.
// Constants: X the code of the query type; D, BITS, LLOYD_MAX as in cache_codes.cuh; SCALE 0 for log-scale bytes, 1 for
// fp16; ZERO 0 none, 1 whole and 2 eighths in a byte, 3 fp16; ROTATE, whether Had is between; HALF, pairs of channels
// that turn where keys lack their mean, else 0.
#include "cache_codes.cuh"
#include "hadamard.cuh"
#if HALF > 0
#include "cache_mean.cuh"
#else
struct MeanTerm {};
#endif

typedef ElementOf<X>::type Input;

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarp;
constexpr int kHeads = 8;
// Tokens that a warp has under way: some 8 KB of bf16, a page of 2 bits.
constexpr int kTile = BITS == 2 ? 64 : BITS == 4 ? 32 : 16;
constexpr int kBlocks = kTile / 16;
// Tiles that are worth a split.
constexpr int kLeastTiles = 256 / kTile;

__device__ __forceinline__ float minus_infinity() { return __uint_as_float(0xff800000u); }

/// Which positions of a sequence of `length` tokens a launch is over.
enum Part { kAll, kAged, kRecent };

constexpr int kScaleBytes = BITS == 16 ? 0 : SCALE == 1 ? 2 : 1;
constexpr int kZeroBytes = ZERO == 0 ? 0 : ZERO == 3 ? 2 : 1;
constexpr int kUnitBytes = kPageTokens * (kTokenBytes + kScaleBytes + kZeroBytes);

/// What a warp reads of a tile, as it lies in memory.
struct Tile {
  uint32_t keys[2 * kBlocks][kKeyWords];
  uint32_t values[kBlocks][4][kValueWords];
#if BITS < 16
  // Of tokens 2 t and 2 t + 1 of each eight: scales and zero points, of keys and of values.
  uint32_t scales[2][2 * kBlocks];
  uint32_t zeros[2][2 * kBlocks];
#endif
};

/// The softmax of a warp so far: of head g the maximum and this lane's parts of sums, and sums of values.
struct Softmax {
  float max, sum, zeros;
  float o[kValueChannels / 2][4];
};

template <int bytes>
__device__ __forceinline__ uint32_t load_two(const uint8_t* from) {
  if constexpr (bytes == 2) return *reinterpret_cast<const uint32_t*>(from);
  return *reinterpret_cast<const uint16_t*>(from);
}

__device__ __forceinline__ float scale_of(uint32_t two, int i) {
  if (SCALE == 1) return widen(f16{uint16_t(two >> 16 * i)});
  return exp2f(float(int(two >> 8 * i & 0xff) - 160) * 0.125f);
}

/// The zero point in steps, above what operands are above codes.
__device__ __forceinline__ float zero_of(uint32_t two, int i) {
  constexpr float kMiddle = (BITS < 16 ? float(1 << (BITS - 1) % 16) : 0.0f) + kBias;
  if (ZERO == 0) return 0;
  if (ZERO == 3) return kMiddle + widen(f16{uint16_t(two >> 16 * i)});
  return kMiddle + float(static_cast<signed char>(two >> 8 * i)) * (ZERO == 2 ? 0.125f : 1.0f);
}

/// Reads the tile that starts in `slot` of a page; `seen` has two bits for each eight tokens.
__device__ __forceinline__ void read(const uint8_t* keys, const uint8_t* values, int slot, uint32_t seen, Tile& tile) {
  int g = threadIdx.x % kWarp / 4, t = threadIdx.x % 4;
#pragma unroll
  for (int n = 0; n < 2 * kBlocks; n++) {
    load_bytes<4, kKeyBytes>(keys + int64_t(slot + 8 * n + g) * kTokenBytes, t, tile.keys[n]);
#if BITS < 16
    const uint8_t* units[2] = {keys, values};
#pragma unroll
    for (int side = 0; side < 2; side++) {
      const uint8_t* scales = units[side] + kPageTokens * kTokenBytes;
      int token = slot + 8 * n + 2 * t;
      tile.scales[side][n] = load_two<kScaleBytes>(scales + token * kScaleBytes);
      if (ZERO > 0) {
        tile.zeros[side][n] = load_two<kZeroBytes>(scales + kPageTokens * kScaleBytes + token * kZeroBytes);
      }
    }
#endif
  }
#pragma unroll
  for (int block = 0; block < kBlocks; block++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int token = slot + 16 * block + i / 2 * 8 + 2 * t + i % 2;
      // What is not seen may be anything, NaN too; codes are numbers always.
      bool read = BITS < 16 || seen >> (4 * block + i) & 1;
      if (read) {
        load_bytes<8, kValueBytes>(values + int64_t(token) * kTokenBytes, g, tile.values[block][i]);
      } else {
#pragma unroll
        for (int j = 0; j < kValueWords; j++) tile.values[block][i][j] = 0;
      }
    }
  }
}

/// Takes a tile into the softmax. Lane 4 g + t has of head g the scores of tokens 2 t and 2 t + 1 of each eight.
__device__ __forceinline__ void attend(const Tile& tile, const uint32_t (&query)[kKeyPairs], float query_sum,
                                       float scale, uint32_t seen, const MeanTerm& mean, const float* turns,
                                       const uint32_t* angles, Softmax& softmax) {
  int t = threadIdx.x % 4;
#if HALF > 0
  uint32_t turned[kSteps][2];
  turn_back(mean, turns, turned);
#endif
  float s[2 * kBlocks][4];
  float most = softmax.max;
#pragma unroll
  for (int n = 0; n < 2 * kBlocks; n++) {
    uint32_t pairs[kKeyPairs];
    key_pairs(tile.keys[n], pairs);
#pragma unroll
    for (int i = 0; i < 4; i++) s[n][i] = 0;
#pragma unroll
    for (int i = 0; i < kKeyPairs; i += 2) {
      mma_bf16(s[n], {query[i], 0u, query[i + 1], 0u}, {pairs[i], pairs[i + 1]});
    }
#if HALF > 0
    float gains[4] = {mean.constant, mean.constant};
    add_mean(turned, angles, n, gains);
#else
    constexpr float gains[4] = {};
#endif
#pragma unroll
    for (int i = 0; i < 2; i++) {
#if BITS < 16
      float zero = ZERO > 0 ? zero_of(tile.zeros[0][n], i) : 0.0f;
      s[n][i] = scale_of(tile.scales[0][n], i) * (s[n][i] - zero * query_sum);
#endif
      s[n][i] = seen >> (2 * n + i) & 1 ? s[n][i] * scale + gains[i] : minus_infinity();
      most = fmaxf(most, s[n][i]);
    }
  }
  most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
  most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
  if (__any_sync(kAllLanes, most != softmax.max)) {
    float factor = most == softmax.max ? 1.0f : exp2f(softmax.max - most);
    softmax.max = most;
    softmax.sum *= factor;
    softmax.zeros *= factor;
    float even = __shfl_sync(kAllLanes, factor, 8 * t), odd = __shfl_sync(kAllLanes, factor, 8 * t + 4);
#pragma unroll
    for (int m = 0; m < kValueChannels / 2; m++) {
#pragma unroll
      for (int i = 0; i < 4; i++) softmax.o[m][i] *= i % 2 ? odd : even;
    }
  }
#pragma unroll
  for (int block = 0; block < kBlocks; block++) {
    uint32_t weights[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int n = 2 * block + half;
      float p[2];
#pragma unroll
      for (int i = 0; i < 2; i++) {
        bool visible = seen >> (2 * n + i) & 1;
        p[i] = visible ? exp2f(s[n][i] - most) : 0.0f;
        softmax.sum += p[i];
#if BITS < 16
        p[i] = visible ? p[i] * scale_of(tile.scales[1][n], i) : 0.0f;
        if (ZERO > 0) softmax.zeros += visible ? widen(narrow<bf16>(p[i])) * zero_of(tile.zeros[1][n], i) : 0.0f;
#endif
      }
      weights[half] = pack_bf16(p[0], p[1]);
    }
    uint32_t low[kValueChannels], high[kValueChannels];
    value_pairs(tile.values[block][0], tile.values[block][1], low);
    value_pairs(tile.values[block][2], tile.values[block][3], high);
#pragma unroll
    for (int m = 0; m < kValueChannels / 2; m++) {
      mma_bf16(softmax.o[m], {low[2 * m], low[2 * m + 1], high[2 * m], high[2 * m + 1]}, {weights[0], weights[1]});
    }
  }
}

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
    if (ROTATE) hadamard(x);
    store(&to[head][lane * (D / kWarp)], x);
  }
}

struct Shared {
  alignas(16) bf16 queries[kHeads][D];
  float max[kWarps][kHeads], sum[kWarps][kHeads];
  // Of each warp; the channels of a head lie 4 floats further for every other head, for the sake of banks.
  float o[kWarps][kHeads][D + 4];
};

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
/// something was spoiled gives NaN. means [kv heads, D], turns [pages_each, HALF, 2] and angles as cache_mean.cuh.
extern "C" __global__ void __launch_bounds__(kThreads)
    cache_decode(const Input* q, int64_t q_row, int64_t q_head, int group, float scale, const uint8_t* pages,
                 int64_t page_bytes, const int* table, int pages_each, const int* sequences, const int* positions,
                 int part, int window, int flush, const uint8_t* sinks, const int* sink_positions,
                 const int* spoiled, const float* means, const float* turns, const uint32_t* angles, float* sums,
                 float* stats, int first_split, int all_splits) {
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
      values = keys + int64_t(kv_heads + kv_head) * kUnitBytes;
      keys += int64_t(kv_head) * kUnitBytes;
    }
    uint32_t seen = seen_of(position, from, to);
    if (part == kAged && with_sinks) seen = without_sinks(seen, position, own);
    Tile data;
    read(keys, values, position % kPageTokens, seen, data);
    attend(data, query, query_sum, scale, seen, mean, turns + int64_t(at) * 2 * HALF,
           angles + position % kPageTokens / 8 * kWarp * HALF / 4, softmax);
  }
  join(softmax, shared, count, sums, stats, all_splits);
}

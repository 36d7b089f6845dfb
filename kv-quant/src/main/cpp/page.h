// Where keys and values lie. A page holds 64 tokens; exact ones of a cache that quantizes nothing may hold 16.
//
// An exact page of n tokens holds elements: for each kv head its keys [n, row], then its values [n, row], row being
// the head dimension padded with zeros to a multiple of 16. PageLayout.java says the same.
//
// A packed page holds codes: first the keys, then the values, each as units (a kv head, or for keys that are
// rotated over heads the whole layer), a unit as groups, a group of n channels as codes [64][n * bits / 8],
// scales [64], zero points [64]. PackedLayout.java says the same; CodeLayout.java tells how codes fill bytes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace l4j::kv {

constexpr int64_t kPageTokens = 64;
constexpr int64_t kMaxHeadDim = 256;
constexpr int64_t kMaxSinks = kPageTokens;

inline int64_t padded(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

struct Pages {
  const int64_t* table;  // the address of each page
  int64_t heads;
  int64_t row;
  int64_t tokens;  // of a page, a divisor of 64

  template <class E>
  E* keys(int64_t page, int64_t head) const {
    return reinterpret_cast<E*>(table[page]) + head * 2 * tokens * row;
  }
  template <class E>
  E* values(int64_t page, int64_t head) const {
    return keys<E>(page, head) + tokens * row;
  }
};

// F32 tokens outside: [T, heads, head_dim] with free strides of token and head.
struct Tokens {
  float* data;
  int64_t token;
  int64_t head;

  float* at(int64_t t, int64_t h) const { return data + t * token + h * head; }
};

enum ClipRule { kPaper, kCentered, kPercentile };
enum ScaleFormat { kLog8, kE4M3, kFp16, kFp32 };
enum ZeroFormat { kInteger, kFractional, kFloat, kLloydMax };  // the last: a grid without zero points

// One group of a packed page: n channels of 64 tokens.
struct Group {
  uint8_t* codes;
  uint8_t* scales;
  uint8_t* zeros;
  int64_t n;
};

// How the keys or the values of a packed page are coded.
struct Codec {
  int64_t bits;
  int64_t group;  // channels, the last of a unit may have fewer
  int64_t unit;   // channels that are quantized as one row
  int64_t offset; // bytes from the start of the page
  int64_t scale;
  int64_t zero;
  int64_t clip_rule;
  double clip;

  int64_t scale_bytes() const { return scale == kFp32 ? 4 : scale == kFp16 ? 2 : 1; }
  int64_t zero_bytes() const { return zero == kLloydMax ? 0 : zero == kFloat ? 2 : 1; }
  int64_t groups() const { return (unit + group - 1) / group; }
  int64_t size(int64_t g) const { return std::min(group, unit - g * group); }
  int64_t token_bytes(int64_t n) const { return n * bits / 8; }
  int64_t group_bytes(int64_t n) const { return kPageTokens * (token_bytes(n) + scale_bytes() + zero_bytes()); }
  int64_t unit_bytes() const {
    return (groups() - 1) * group_bytes(group) + group_bytes(size(groups() - 1));
  }
  Group at(int64_t page_address, int64_t u, int64_t g) const {
    int64_t n = size(g);
    uint8_t* codes = reinterpret_cast<uint8_t*>(page_address) + offset + u * unit_bytes() + g * group_bytes(group);
    uint8_t* scales = codes + kPageTokens * token_bytes(n);
    return {codes, scales, scales + kPageTokens * scale_bytes(), n};
  }
};

enum Transform { kPlain, kHadamard, kGrouped, kCenteredHadamard, kDense };
enum DenseMatrix { kKeyIn, kQueryIn, kValueIn, kOutBack };

// The rotary embedding: pairs (j, j + half) of the first 2 * half channels turn by position * w_j. Cosines and
// sines: [half][64] for positions 0 to 63, then [kBits][half] for the powers of two; then the w_j.
struct Rope {
  static constexpr int64_t kBits = 31;
  const float* table;
  int64_t half;

  const float* cos_at(int64_t j) const { return table + j * kPageTokens; }
  const float* sin_at(int64_t j) const { return table + (half + j) * kPageTokens; }
  const float* cos_bit(int64_t bit) const { return table + 2 * half * kPageTokens + 2 * bit * half; }
  const float* sin_bit(int64_t bit) const { return cos_bit(bit) + half; }
  const float* frequencies() const { return cos_bit(kBits); }
};

// The tokens of one sequence in one layer. Each position is read from one of three places, which depends on the
// query: exact pages while it is recent, the page of sinks, or packed pages. CacheCall.java lays this out in
// 8-byte fields.
struct Cache {
  Pages exact;         // row is that of an exact page
  int64_t type;        // of its elements
  int64_t head_dim;
  int64_t exact_first; // the position at which the table of exact pages begins, a multiple of their tokens
  int64_t exact_start; // positions from here on are in exact pages
  int64_t length;
  const int64_t* packed;
  int64_t packed_end;  // positions up to here are packed, or sinks
  int64_t window;
  int64_t flush;
  int64_t sink_page;   // its address in a table of one
  const int64_t* sink_positions;
  int64_t sinks;       // how many have left the window
  int64_t transform;
  int64_t rotation;    // channels that a rotation of keys over heads mixes
  const int32_t* order;  // channel i of a stored row is channel order[i] of the rotated one
  Rope rope;
  const float* mean;   // [heads][head_dim] of keys before the rotary embedding, where it is taken off
  const float* dense;  // [4][heads][head_dim][head_dim] of a dense basis, column by column, as DenseMatrix counts
  Codec key;
  Codec value;

  // Positions below this are read as quantized (or as sinks) by the query at position t, the others exactly.
  int64_t border(int64_t t) const {
    int64_t aged = std::max<int64_t>(t + 1 - window, 0) / flush * flush;
    return std::min(t + 1, std::max(exact_start, std::min(packed_end, aged)));
  }
  // The exact page of a position, and the element of a head's keys or values there at which its row begins.
  int64_t page_of(int64_t position) const { return (position - exact_first) / exact.tokens; }
  int64_t row_of(int64_t position) const { return position % exact.tokens * exact.row; }
  bool rotates_heads() const { return transform == kHadamard || transform == kCenteredHadamard; }
  bool rotates_values() const { return transform != kPlain && transform != kDense; }
  const float* matrix(DenseMatrix which, int64_t head) const {
    return dense + (which * exact.heads + head) * head_dim * head_dim;
  }
};

}  // namespace l4j::kv

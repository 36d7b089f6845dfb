// Where keys and values lie. A page holds 64 tokens: for each kv head their keys [64, row], then their
// values [64, row], row being the head dimension padded with zeros to a multiple of 16. PageLayout.java
// says the same.
#pragma once

#include <cstdint>

namespace l4j::kv {

constexpr int64_t kPageTokens = 64;
constexpr int64_t kMaxHeadDim = 256;

inline int64_t padded(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

struct Pages {
  const int64_t* table;  // the address of each page
  int64_t heads;
  int64_t row;

  template <class E>
  E* keys(int64_t page, int64_t head) const {
    return reinterpret_cast<E*>(table[page]) + head * 2 * kPageTokens * row;
  }
  template <class E>
  E* values(int64_t page, int64_t head) const {
    return keys<E>(page, head) + kPageTokens * row;
  }
};

// F32 tokens outside: [T, heads, head_dim] with free strides of token and head.
struct Tokens {
  float* data;
  int64_t token;
  int64_t head;

  float* at(int64_t t, int64_t h) const { return data + t * token + h * head; }
};

}  // namespace l4j::kv

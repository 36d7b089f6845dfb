// What one call of the fused head works on; the fields are written by CpuHead.java. Row strides in elements.
#pragma once

namespace l4j::head {

struct HeadCall {
  int64_t hidden_type;  // DType codes
  const void* hidden;   // [tokens, width]
  int64_t hidden_stride;
  int64_t head_type;
  const void* head;  // [vocabulary, width]
  int64_t head_stride;
  int64_t tokens;
  int64_t vocabulary;
  int64_t width;
  double scale;            // 1 / temperature
  const int32_t* targets;  // [tokens]

  // Forward.
  float* partials;      // [ranges of the vocabulary, tokens, 3]: maximum, rest, weighted sum
  float* target_logit;  // [tokens], scaled
  float* log_prob;      // [tokens]; backward reads it
  double* log_sum_exp;  // [tokens], of scaled logits; backward reads it
  float* entropy;       // [tokens] or null; backward reads it where d_entropy is given

  // Backward.
  const float* d_log_prob;  // [tokens]
  const float* d_entropy;   // [tokens] or null
  float* d_logits;          // [tokens, columns] of the block under way
  float* d_hidden;          // [tokens, width] or null
  int64_t d_hidden_stride;
  float* d_head;  // [vocabulary, width] or null
  int64_t d_head_stride;
};

// The logits that backward has in memory at a time.
struct Block {
  int64_t token;
  int64_t tokens;
  int64_t word;
  int64_t words;
};

// Words of the vocabulary that a unit of the forward pass goes through: CpuHead.java knows it too.
constexpr int64_t kRangeWords = 4096;

}  // namespace l4j::head

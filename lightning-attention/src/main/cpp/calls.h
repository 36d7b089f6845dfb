// What Java hands to the kernels: blocks of 64-bit fields, written in this order by the classes of the same name
// (see CpuLightning). Strides count elements, addresses are plain integers, 0 is "none".
#pragma once

#include <cstdint>

namespace l4j {

// A strided tensor of F32, BF16 or F16 with a dense last dimension: [B, T, H, D], or [B, H, D] without tokens.
struct Operand {
  int64_t address, batch, token, head, type;
};

// Tokens [first, first + tokens) of row `batch`. States are entries of the pools of the call, -1 for none.
struct Sequence {
  int64_t batch, first, tokens, initial, final;
  // The first snapshot is taken after so many tokens and is entry `snapshot` of the call's, -1 for none; then every
  // so many.
  int64_t until_snapshot, snapshot;
};

// Without an output only states are computed, and q is not read.
struct PrefillCall {
  Operand q, k, v, out;
  int64_t log_decay;
  double scale;
  int64_t silu;
  int64_t heads, dk, dv;
  int64_t initial, final, snapshots, snapshot_every;
  int64_t slices, sequences, segment;
};

struct DecodeCall {
  Operand q, k, v, out;
  int64_t log_decay;
  double scale;
  int64_t silu;
  int64_t heads, dk, dv;
  int64_t pool, slots;
};

// Gradients of what prefill does with the same sequences. `initial` and grad_initial are indexed by
// Sequence::initial, grad_final by Sequence::final. grad_log is [sequences, heads] F64.
struct BackwardCall {
  Operand q, k, v, grad_out, grad_q, grad_k, grad_v;
  int64_t log_decay;
  double scale;
  int64_t silu;
  int64_t heads, dk, dv;
  int64_t initial, grad_initial, grad_final, grad_log;
  int64_t sequences, segment;
};

// The states of segments put together: local and entering [segments, units, size], initial and last [units, size]
// or none; units are rows x heads, tokens [segments] I64.
struct CombineCall {
  int64_t local, tokens, log_decay, initial, entering, last;
  int64_t segments, units, heads, size, step;
};

// Rows of one head: the tokens of a sequence.
struct Rows {
  char* at;
  int64_t stride;
  int type;

  Rows(const Operand& x, int64_t batch, int64_t token, int64_t head, int64_t column = 0)
      : stride(x.token), type(static_cast<int>(x.type)) {
    at = reinterpret_cast<char*>(x.address) +
         bytes() * (batch * x.batch + token * x.token + head * x.head + column);
  }
  int64_t bytes() const { return type == 1 ? 4 : 2; }
  char* row(int64_t t) const { return at + t * stride * bytes(); }
};

}  // namespace l4j

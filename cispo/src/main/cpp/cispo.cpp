// libjnicispo: log-probabilities from the head of a language model, and their gradients. Addresses come from Java
// as 64-bit integers; the Java side has checked every size.
#include "isa.h"

#include <utility>

#include "head_call.h"
#define L4J_KERNELS "head_kernels.h"
#include "foreach_isa.h"

namespace l4j::head {

struct Table {
  decltype(&avx2::head_forward) forward;
  decltype(&avx2::head_merge) merge;
  decltype(&avx2::head_d_logits) d_logits;
  decltype(&avx2::head_d_hidden) d_hidden;
  decltype(&avx2::head_d_head) d_head;
};

constexpr Table kTables[] = {
    {},
    {avx2::head_forward, avx2::head_merge, avx2::head_d_logits, avx2::head_d_hidden, avx2::head_d_head},
    {avx512::head_forward, avx512::head_merge, avx512::head_d_logits, avx512::head_d_hidden, avx512::head_d_head},
};

static const Table* kernels = nullptr;

static const HeadCall& call_at(int64_t address) { return *reinterpret_cast<const HeadCall*>(address); }
static float* floats(int64_t address) { return reinterpret_cast<float*>(address); }

}  // namespace l4j::head

// Takes the instruction set wanted (0: the best) and returns the best one of this CPU.
static int l4j_cispo_init(int isa) {
  int best = l4j::best_isa();
  l4j::head::kernels = l4j::table_for(l4j::head::kTables, isa, best);
  return best;
}

static void l4j_head_forward(int64_t call, int64_t from, int64_t to, int64_t scratch) {
  using namespace l4j::head;
  kernels->forward(call_at(call), from, to, floats(scratch));
}
static void l4j_head_merge(int64_t call, int64_t from, int64_t to) {
  using namespace l4j::head;
  kernels->merge(call_at(call), from, to);
}
static void l4j_head_d_logits(int64_t call, int64_t token, int64_t tokens, int64_t word, int64_t words, int64_t from,
                              int64_t to, int64_t scratch) {
  using namespace l4j::head;
  kernels->d_logits(call_at(call), {token, tokens, word, words}, from, to, floats(scratch));
}
static void l4j_head_d_hidden(int64_t call, int64_t token, int64_t tokens, int64_t word, int64_t words, int add,
                              int64_t from, int64_t to, int64_t scratch) {
  using namespace l4j::head;
  kernels->d_hidden(call_at(call), {token, tokens, word, words}, add != 0, from, to, floats(scratch));
}
static void l4j_head_d_head(int64_t call, int64_t token, int64_t tokens, int64_t word, int64_t words, int add,
                            int64_t from, int64_t to, int64_t scratch) {
  using namespace l4j::head;
  kernels->d_head(call_at(call), {token, tokens, word, words}, add != 0, from, to, floats(scratch));
}

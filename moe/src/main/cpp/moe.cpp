// libjnimoe: routing and experts. Addresses come from Java as 64-bit integers; the Java side has checked every
// size.
#include "expert.h"
#include "isa.h"
#include "routing.h"
#define L4J_KERNELS "router_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "experts_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "experts_backward_kernels.h"
#include "foreach_isa.h"
#include "quant_experts_functions.h"
#include "prefill_functions.h"
#include "quant_prefill_functions.h"

namespace l4j::moe {

struct Table {
  decltype(&avx2::route) route;
  decltype(&avx2::route_backward) route_backward;
  decltype(&avx2::jitter) jitter;
  decltype(&avx2::gate_up) gate_up;
  decltype(&avx2::down) down;
  decltype(&avx2::gather) gather;
  decltype(&avx2::combine) combine;
  decltype(&avx2::mix) mix;
  decltype(&avx2::scaled_rows) scaled_rows;
  decltype(&avx2::swiglu_backward) swiglu_backward;
};

constexpr Table kTables[] = {
    {},
    {avx2::route, avx2::route_backward, avx2::jitter, avx2::gate_up, avx2::down, avx2::gather, avx2::combine,
     avx2::mix, avx2::scaled_rows, avx2::swiglu_backward},
    {avx512::route, avx512::route_backward, avx512::jitter, avx512::gate_up, avx512::down, avx512::gather,
     avx512::combine, avx512::mix, avx512::scaled_rows, avx512::swiglu_backward},
};

static const Table* table = nullptr;

template <class T>
static T* at(int64_t address) {
  return reinterpret_cast<T*>(address);
}

}  // namespace l4j::moe

// Takes the instruction set wanted (0: the best) and returns the best one of this CPU.
static int l4j_moe_init(int isa) {
  int best = l4j::best_isa();
  l4j::moe::table = l4j::table_for(l4j::moe::kTables, isa, best);
  l4j::moe_quant::table = l4j::table_for(l4j::moe_quant::kTables, isa, best);
  l4j::moe_prefill::table = l4j::table_for(l4j::moe_prefill::kTables, isa, best);
  l4j::moe_quant_prefill::table = l4j::table_for(l4j::moe_quant_prefill::kTables, isa, best);
  return best;
}

static int64_t l4j_moe_route(int64_t logits, int64_t ldl, int64_t E, int64_t k, int score, int normalized, float scale,
                             int64_t groups, int64_t top_groups, int64_t group_best, int64_t bias, int64_t scratch,
                             int64_t index, int64_t ldi, int64_t weight, int64_t ldw, int64_t t0, int64_t t1) {
  using namespace l4j::moe;
  l4j::Routing routing{E, k, score, normalized != 0, scale, groups, top_groups, group_best, at<float>(bias),
                       at<char>(scratch)};
  return table->route(routing, at<float>(logits), ldl, at<int32_t>(index), ldi, at<float>(weight), ldw, t0, t1);
}
static void l4j_moe_route_backward(int64_t logits, int64_t ldl, int64_t E, int64_t k, int score, int normalized,
                                   float scale, int64_t index, int64_t ldi, int64_t dweight, int64_t ldw,
                                   int64_t dlogits, int64_t ldd, int64_t t0, int64_t t1) {
  using namespace l4j::moe;
  l4j::Routing routing{E, k, score, normalized != 0, scale, 1, 1, 1, nullptr, nullptr};
  table->route_backward(routing, at<float>(logits), ldl, at<int32_t>(index), ldi, at<float>(dweight), ldw,
                        at<float>(dlogits), ldd, t0, t1);
}
static void l4j_moe_jitter(int64_t x, int64_t ldx, int64_t H, float low, float span, int64_t seed, int64_t out,
                           int64_t ldo, int64_t t0, int64_t t1) {
  using namespace l4j::moe;
  table->jitter(at<float>(x), ldx, H, low, span, static_cast<uint64_t>(seed), at<float>(out), ldo, t0, t1);
}
static void l4j_moe_gate_up(int wtype, int64_t experts, int64_t x, int64_t ldx, int64_t pairs, int64_t slots,
                            int64_t H, int64_t I, int64_t hidden, int64_t from, int64_t to) {
  using namespace l4j::moe;
  table->gate_up(wtype, at<l4j::Expert>(experts), at<float>(x), ldx, at<int32_t>(pairs), slots, H, I,
                 at<float>(hidden), from, to);
}
static void l4j_moe_down(int wtype, int64_t experts, int64_t hidden, int64_t H, int64_t I, int64_t y, int64_t from,
                         int64_t to) {
  using namespace l4j::moe;
  table->down(wtype, at<l4j::Expert>(experts), at<float>(hidden), H, I, at<float>(y), from, to);
}
static void l4j_moe_gather(int64_t x, int64_t ldx, int64_t pairs, int64_t slots, int64_t H, int64_t rows,
                           int64_t from, int64_t to) {
  using namespace l4j::moe;
  table->gather(at<float>(x), ldx, at<int32_t>(pairs), slots, H, at<float>(rows), from, to);
}
static void l4j_moe_combine(int64_t y, int64_t positions, int64_t slots, int64_t weight, int64_t ldw, int64_t H,
                            int64_t out, int64_t ldo, int64_t t0, int64_t t1) {
  using namespace l4j::moe;
  table->combine(at<float>(y), at<int32_t>(positions), slots, at<float>(weight), ldw, H, at<float>(out), ldo, t0,
                 t1);
}
static void l4j_moe_mix(int wtype, int64_t x, int64_t ldx, int64_t coefficient, int64_t shared, int64_t H,
                        int64_t inout, int64_t ldo, int64_t t0, int64_t t1) {
  using namespace l4j::moe;
  table->mix(wtype, at<float>(x), ldx, at<void>(coefficient), at<float>(shared), H, at<float>(inout), ldo, t0, t1);
}
static void l4j_moe_scaled_rows(int type, int64_t c, int64_t cm, int64_t cr, int64_t rows, int64_t ldr, int64_t R,
                                int64_t out, int64_t ldo, int64_t M, int add, int64_t n0, int64_t n1) {
  using namespace l4j::moe;
  table->scaled_rows(type, at<float>(c), cm, cr, at<void>(rows), ldr, R, at<float>(out), ldo, M, add != 0, n0, n1);
}
static void l4j_moe_swiglu_backward(int64_t g, int64_t u, int64_t q, int64_t pairs, int64_t slots, int64_t weight,
                                    int64_t ldw, int64_t dweight, int64_t lddw, int64_t I, int64_t r0, int64_t r1) {
  using namespace l4j::moe;
  table->swiglu_backward(at<float>(g), at<float>(u), at<float>(q), at<int32_t>(pairs), slots, at<float>(weight), ldw,
                         at<float>(dweight), lddw, I, r0, r1);
}

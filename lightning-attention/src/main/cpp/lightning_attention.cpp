// libjniattention: lightning attention (prefill, decode, backward) and the gated norm behind it. Addresses come
// from Java as 64-bit integers; the Java side has checked every size. Prefill and backward take one head a call,
// decode a range of heads. Functions that need scratch memory return whether the system gave it.
#include "backward_head.h"
#include "gated_norm_call.h"
#include "isa.h"
#include "scratch.h"
#define L4J_KERNELS "chunk_tiles.h"
#include "foreach_isa.h"
#define L4J_KERNELS "lightning_forward_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "lightning_backward_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "gated_norm_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "gated_norm_backward_kernels.h"
#include "foreach_isa.h"

namespace l4j::attention {

struct Table {
  decltype(&avx2::prefill) prefill;
  decltype(&avx2::decode) decode;
  decltype(&avx2::backward) backward;
  decltype(&avx2::gated_norm) gated_norm;
  decltype(&avx2::gated_norm_backward) gated_norm_backward;
  decltype(&avx2::add_up) add_up;
};

constexpr Table kTables[] = {
    {},
    {avx2::prefill, avx2::decode, avx2::backward, avx2::gated_norm,
     avx2::gated_norm_backward, avx2::add_up},
    {avx512::prefill, avx512::decode, avx512::backward, avx512::gated_norm,
     avx512::gated_norm_backward, avx512::add_up},
};

static const Table* table = nullptr;

template <class T>
static T* at(int64_t address) {
  return reinterpret_cast<T*>(address);
}

}  // namespace l4j::attention

// Takes the instruction set wanted (0: the best) and returns the best one of this CPU.
static int l4j_attention_init(int isa) {
  int best = l4j::best_isa();
  l4j::attention::table = &l4j::attention::kTables[isa == 0 ? best : std::min(isa, best)];
  return best;
}

static bool l4j_lightning_prefill(int64_t q, int64_t ldq, int64_t k, int64_t ldk, int64_t v, int64_t ldv,
                                  double log_decay, float scale, bool silu, int64_t state, int64_t out, int64_t ldo,
                                  int64_t T, int64_t Dk, int64_t Dv) {
  using namespace l4j::attention;
  return table->prefill(at<float>(q), ldq, at<float>(k), ldk, at<float>(v), ldv, log_decay, scale, silu,
                        at<float>(state), at<float>(out), ldo, T, Dk, Dv);
}

// Heads [from, to) of B x H; a row without a slot (-1) gets zeros. Strides over rows and heads.
static bool l4j_lightning_decode(int64_t q, int64_t qb, int64_t qh, int64_t k, int64_t kb, int64_t kh, int64_t v,
                                 int64_t vb, int64_t vh, int64_t log_decay, float scale, bool silu, int64_t pool,
                                 int64_t slots, int64_t out, int64_t ob, int64_t oh, int64_t H, int64_t Dk,
                                 int64_t Dv, int64_t from, int64_t to) {
  using namespace l4j::attention;
  for (int64_t i = from; i < to; ++i) {
    int64_t b = i / H, h = i % H;
    float* o = at<float>(out) + b * ob + h * oh;
    int64_t slot = at<int32_t>(slots)[b];
    if (slot < 0) {
      std::memset(o, 0, Dv * sizeof(float));
      continue;
    }
    float* state = at<float>(pool) + (slot * H + h) * Dk * Dv;
    if (!table->decode(at<float>(q) + b * qb + h * qh, at<float>(k) + b * kb + h * kh,
                       at<float>(v) + b * vb + h * vh, at<double>(log_decay)[h], scale, silu, state, o, Dk, Dv)) {
      return false;
    }
  }
  return true;
}

static bool l4j_lightning_backward(int64_t q, int64_t ldq, int64_t k, int64_t ldk, int64_t v, int64_t ldv,
                                   double log_decay, float scale, bool silu, int64_t initial, int64_t g, int64_t ldg,
                                   int64_t d_final, int64_t dq, int64_t lddq, int64_t dk, int64_t lddk, int64_t dv,
                                   int64_t lddv, int64_t d_initial, int64_t d_log, int64_t T, int64_t Dk,
                                   int64_t Dv) {
  using namespace l4j::attention;
  l4j::BackwardHead head{at<float>(q),       at<float>(k),       at<float>(v),         at<float>(g),
                         ldq,                ldk,                ldv,                  ldg,
                         at<float>(dq),      at<float>(dk),      at<float>(dv),        lddq,
                         lddk,               lddv,               at<float>(initial),   at<float>(d_final),
                         at<float>(d_initial), at<double>(d_log), log_decay,           scale,
                         silu,               T,                  Dk,                   Dv};
  return table->backward(head);
}

static void l4j_gated_norm(int xtype, int64_t x, int64_t ldx, int gtype, int64_t gate, int64_t ldg, int wtype,
                           int64_t weight, float eps, int otype, int64_t out, int64_t ldo, int64_t t0, int64_t t1,
                           int64_t N) {
  using namespace l4j::attention;
  table->gated_norm({{xtype, gtype, wtype, otype, at<void>(x), at<void>(gate), at<void>(weight), ldx, ldg, t0, t1, N,
                      eps},
                     at<void>(out), ldo});
}

static bool l4j_gated_norm_backward(int xtype, int64_t x, int64_t ldx, int gtype, int64_t gate, int64_t ldg,
                                    int wtype, int64_t weight, float eps, int dtype, int64_t dout, int64_t lddo,
                                    int64_t dx, int64_t lddx, int64_t dgate, int64_t lddg, int64_t dweight,
                                    int64_t t0, int64_t t1, int64_t N) {
  using namespace l4j::attention;
  l4j::NormInputs inputs{xtype, gtype, wtype, dtype, at<void>(x), at<void>(gate), at<void>(weight),
                         ldx,   ldg,   t0,    t1,    N,           eps};
  return table->gated_norm_backward(
      {inputs, at<void>(dout), at<void>(dx), at<void>(dgate), lddo, lddx, lddg, at<double>(dweight), nullptr});
}

static void l4j_add_up(int64_t parts, int64_t count, int64_t N, int64_t to, int64_t from, int64_t end) {
  using namespace l4j::attention;
  table->add_up(at<double>(parts), count, N, at<float>(to), from, end);
}

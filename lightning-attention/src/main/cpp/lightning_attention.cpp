// libjniattention: lightning attention (prefill, decode, backward, the exchange between segments) and the gated norm
// behind it. A call comes from Java as a block of 64-bit fields, see calls.h; the Java side has checked every size.
// Functions that need scratch memory return whether the system gave it.
#include "calls.h"
#include "gated_norm_call.h"
#include "isa.h"
#include "scratch.h"
#include "tiles.h"
#define L4J_KERNELS "chunk_rows.h"
#include "foreach_isa.h"
#define L4J_KERNELS "ahead.h"
#include "foreach_isa.h"
#define L4J_KERNELS "chunk_tiles.h"
#include "foreach_isa.h"
#define L4J_KERNELS "lightning_forward_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "tile_chunk.h"
#include "foreach_isa.h"
#define L4J_KERNELS "lightning_tile_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "lightning_decode_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "backward_chunk.h"
#include "foreach_isa.h"
#define L4J_KERNELS "lightning_backward_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "segment_kernels.h"
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
  decltype(&avx2::combine) combine;
  decltype(&avx2::gated_norm) gated_norm;
  decltype(&avx2::gated_norm_backward) gated_norm_backward;
  decltype(&avx2::add_up) add_up;
};

constexpr Table kWide = {avx512::prefill,    avx512::decode,
                         avx512::backward,   avx512::combine,
                         avx512::gated_norm, avx512::gated_norm_backward,
                         avx512::add_up};
constexpr Table kTables[] = {
    {},
    {avx2::prefill, avx2::decode, avx2::backward, avx2::combine, avx2::gated_norm, avx2::gated_norm_backward,
     avx2::add_up},
    kWide,
    kWide,
    {avx512::prefill_tiles, avx512::decode, avx512::backward, avx512::combine, avx512::gated_norm,
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
  l4j::attention::table = l4j::table_for(l4j::attention::kTables, isa, best);
  return best;
}

static bool l4j_lightning_prefill(const int64_t* call, const int64_t* sequences, int64_t from, int64_t to) {
  return l4j::attention::table->prefill(*reinterpret_cast<const l4j::PrefillCall*>(call),
                                        reinterpret_cast<const l4j::Sequence*>(sequences), from, to);
}

static bool l4j_lightning_decode(const int64_t* call, int64_t from, int64_t to) {
  return l4j::attention::table->decode(*reinterpret_cast<const l4j::DecodeCall*>(call), from, to);
}

static bool l4j_lightning_backward(const int64_t* call, const int64_t* sequences, int64_t from, int64_t to) {
  return l4j::attention::table->backward(*reinterpret_cast<const l4j::BackwardCall*>(call),
                                         reinterpret_cast<const l4j::Sequence*>(sequences), from, to);
}

static void l4j_lightning_combine(const int64_t* call, int64_t from, int64_t to) {
  l4j::attention::table->combine(*reinterpret_cast<const l4j::CombineCall*>(call), from, to);
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

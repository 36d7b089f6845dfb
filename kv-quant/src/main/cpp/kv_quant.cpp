// libjnikvquant: tokens into and out of pages, and attention over pages. Addresses come from Java as 64-bit
// integers; the Java side has checked every size.
#include <vector>

#include "isa.h"
#include "attention_call.h"
#include "quant_tables.h"
#define L4J_KERNELS "kv_kernels.h"
#include "foreach_isa.h"

namespace l4j::kv {

struct Table {
  decltype(&avx2::append) append;
  decltype(&avx2::append_packed) append_packed;
  decltype(&avx2::age) age;
  decltype(&avx2::read) read;
  decltype(&avx2::first_non_finite) first_non_finite;
  decltype(&avx2::attend_tiles) attend_tiles;
  decltype(&avx2::attend_ranges) attend_ranges;
  decltype(&avx2::merge_ranges) merge_ranges;
  decltype(&avx2::attend_grouped) attend_grouped;
  decltype(&avx2::merge_grouped) merge_grouped;
  decltype(&avx2::hadamard_rows) hadamard_rows;
  decltype(&avx2::gather_channels) gather_channels;
  decltype(&avx2::add_row) add_row;
};

constexpr Table kTables[] = {
    {},
    {avx2::append, avx2::append_packed, avx2::age, avx2::read, avx2::first_non_finite, avx2::attend_tiles,
     avx2::attend_ranges, avx2::merge_ranges, avx2::attend_grouped, avx2::merge_grouped, avx2::hadamard_rows,
     avx2::gather_channels, avx2::add_row},
    {avx512::append, avx512::append_packed, avx512::age, avx512::read, avx512::first_non_finite, avx512::attend_tiles,
     avx512::attend_ranges, avx512::merge_ranges, avx512::attend_grouped, avx512::merge_grouped, avx512::hadamard_rows,
     avx512::gather_channels, avx512::add_row},
};

static const Table* kernels = nullptr;

static Tokens tokens(int64_t data, int64_t token, int64_t head) {
  return {reinterpret_cast<float*>(data), token, head};
}
static const Cache& cache_at(int64_t address) { return *reinterpret_cast<const Cache*>(address); }
static const AttentionCall& call_at(int64_t address) { return *reinterpret_cast<const AttentionCall*>(address); }

}  // namespace l4j::kv

// Takes the instruction set wanted (0: the best) and returns the best one of this CPU.
static int l4j_kv_init(int isa) {
  int best = l4j::best_isa();
  l4j::kv::kernels = l4j::table_for(l4j::kv::kTables, isa, best);
  return best;
}

static void l4j_kv_append(int64_t cache, int64_t k, int64_t k_token, int64_t k_head, int64_t v, int64_t v_token,
                          int64_t v_head, int64_t first, int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->append(cache_at(cache), tokens(k, k_token, k_head), tokens(v, v_token, v_head), first, from, to);
}
static void l4j_kv_append_packed(int64_t cache, int64_t k, int64_t k_token, int64_t k_head, int64_t v,
                                 int64_t v_token, int64_t v_head, int64_t first, int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->append_packed(cache_at(cache), tokens(k, k_token, k_head), tokens(v, v_token, v_head), first, from, to);
}
static void l4j_kv_age(int64_t cache, int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->age(cache_at(cache), from, to);
}
static void l4j_kv_read(int64_t cache, int64_t k, int64_t k_token, int64_t k_head, int64_t v, int64_t v_token,
                        int64_t v_head, int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->read(cache_at(cache), tokens(k, k_token, k_head), tokens(v, v_token, v_head), from, to);
}
static int64_t l4j_kv_first_non_finite(int64_t x, int64_t token, int64_t head, int64_t heads, int64_t dim,
                                       int64_t from, int64_t to) {
  using namespace l4j::kv;
  return kernels->first_non_finite(tokens(x, token, head), heads, dim, from, to);
}
static void l4j_kv_attend_tiles(int64_t call, int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->attend_tiles(call_at(call), from, to);
}
static void l4j_kv_attend_ranges(int64_t call, int64_t partials, int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->attend_ranges(call_at(call), reinterpret_cast<float*>(partials), from, to);
}
static void l4j_kv_merge_ranges(int64_t call, int64_t partials, int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->merge_ranges(call_at(call), reinterpret_cast<float*>(partials), from, to);
}
static void l4j_kv_attend_grouped(int64_t call, int64_t partials, int64_t tile_from, int64_t tile_to, int64_t from,
                                  int64_t to) {
  using namespace l4j::kv;
  kernels->attend_grouped(call_at(call), reinterpret_cast<float*>(partials), tile_from, tile_to, from, to);
}
static void l4j_kv_merge_grouped(int64_t call, int64_t partials, int64_t tile_from, int64_t tile_to, int64_t from,
                                 int64_t to) {
  using namespace l4j::kv;
  kernels->merge_grouped(call_at(call), reinterpret_cast<float*>(partials), tile_from, tile_to, from, to);
}
static void l4j_kv_hadamard(int64_t x, int64_t ldx, int64_t y, int64_t ldy, int64_t width, int64_t n, int64_t from,
                            int64_t to) {
  using namespace l4j::kv;
  kernels->hadamard_rows(reinterpret_cast<const float*>(x), ldx, reinterpret_cast<float*>(y), ldy, width, n, from,
                         to);
}
static void l4j_kv_gather_channels(int64_t x, int64_t ldx, int64_t y, int64_t ldy, int64_t index, int64_t width,
                                   int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->gather_channels(reinterpret_cast<const float*>(x), ldx, reinterpret_cast<float*>(y), ldy,
                           reinterpret_cast<const int32_t*>(index), width, from, to);
}
static void l4j_kv_add_row(int64_t x, int64_t ldx, int64_t row, float factor, int64_t y, int64_t ldy, int64_t width,
                           int64_t from, int64_t to) {
  using namespace l4j::kv;
  kernels->add_row(reinterpret_cast<const float*>(x), ldx, reinterpret_cast<const float*>(row), factor,
                   reinterpret_cast<float*>(y), ldy, width, from, to);
}

// The functions of libjnimoe over experts with many tokens. Panels are those of the `size` experts of a table, in
// order, of as many tokens each as l4j_moe_panel_tokens tells.
#pragma once

#include "expert.h"
#include "isa.h"
#include "tiles.h"
#define L4J_KERNELS "bf16_tiles.h"
#include "foreach_isa.h"
#define L4J_KERNELS "experts_prefill_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "experts_tile_kernels.h"
#include "foreach_isa.h"

namespace l4j::moe_prefill {

struct Table {
  int64_t panel;
  int64_t gate_up_rows, down_rows, bf16_gate_up_rows, bf16_down_rows;
  decltype(&avx2::panel_bytes) panel_bytes;
  decltype(&avx2::pack_panels) pack_panels;
  decltype(&avx2::prefill_gate_up) gate_up;
  decltype(&avx2::prefill_down) down;
};

constexpr Table kWide = {avx512::kPanel,
                         avx512::kHalf,
                         avx512::kBlockRows,
                         avx512::kHalf,
                         avx512::kBlockRows,
                         avx512::panel_bytes,
                         avx512::pack_panels,
                         avx512::prefill_gate_up,
                         avx512::prefill_down};
constexpr Table kTables[] = {
    {},
    {avx2::kPanel, avx2::kHalf, avx2::kBlockRows, avx2::kHalf, avx2::kBlockRows, avx2::panel_bytes,
     avx2::pack_panels, avx2::prefill_gate_up, avx2::prefill_down},
    kWide,
    kWide,
    {avx512::kPanel, avx512::kHalf, avx512::kBlockRows, avx512::kBf16Half, avx512::kBf16Rows, avx512::panel_bytes_of,
     avx512::pack_panels_of, avx512::prefill_gate_up_of, avx512::prefill_down_of},
};

static const Table* table = nullptr;

}  // namespace l4j::moe_prefill

static int64_t l4j_moe_panel_tokens() { return l4j::moe_prefill::table->panel; }
// Rows of W1 and W3, and of W2, that one block of work has.
static int64_t l4j_moe_gate_up_rows(int wtype) {
  const auto* table = l4j::moe_prefill::table;
  return wtype == l4j::kBF16 ? table->bf16_gate_up_rows : table->gate_up_rows;
}
static int64_t l4j_moe_down_rows(int wtype) {
  const auto* table = l4j::moe_prefill::table;
  return wtype == l4j::kBF16 ? table->bf16_down_rows : table->down_rows;
}
// The bytes of K columns of a panel; `parts` are those of Bf16Products.
static int64_t l4j_moe_panel_bytes(int wtype, int64_t parts, int64_t K) {
  return l4j::moe_prefill::table->panel_bytes(wtype, parts, K);
}
static void l4j_moe_pack_panels(int wtype, int64_t parts, int64_t experts, int64_t size, int64_t x, int64_t ldx,
                                int64_t pairs, int64_t slots, int64_t H, int64_t panels, int64_t from, int64_t to) {
  l4j::moe_prefill::table->pack_panels(wtype, parts, reinterpret_cast<const l4j::Expert*>(experts), size,
                                       reinterpret_cast<const float*>(x), ldx, reinterpret_cast<const int32_t*>(pairs),
                                       slots, H, reinterpret_cast<float*>(panels), from, to);
}
static void l4j_moe_prefill_gate_up(int wtype, int64_t parts, int64_t experts, int64_t size, int64_t panels, int64_t H,
                                    int64_t I, int64_t hidden, int64_t from, int64_t to) {
  l4j::moe_prefill::table->gate_up(wtype, parts, reinterpret_cast<const l4j::Expert*>(experts), size,
                                   reinterpret_cast<float*>(panels), H, I, reinterpret_cast<float*>(hidden), from,
                                   to);
}
static void l4j_moe_prefill_down(int wtype, int64_t parts, int64_t experts, int64_t size, int64_t hidden, int64_t H,
                                 int64_t I, int64_t y, int64_t from, int64_t to) {
  l4j::moe_prefill::table->down(wtype, parts, reinterpret_cast<const l4j::Expert*>(experts), size,
                                reinterpret_cast<float*>(hidden), H, I, reinterpret_cast<float*>(y), from, to);
}

// The functions of libjnimoe over quantized experts with many tokens; panels and their numbers are those of
// prefill_functions.h.
#pragma once

#include "prefill_functions.h"
#include "quant_experts_functions.h"
#include "tiles.h"
#define L4J_KERNELS "quant_panels.h"
#define L4J_FOR_VNNI
#define L4J_FOR_AMX
#include "foreach_isa.h"
#define L4J_KERNELS "quant_prefill_kernels.h"
#define L4J_FOR_VNNI
#define L4J_FOR_AMX
#include "foreach_isa.h"

namespace l4j::moe_quant_prefill {

struct Table {
  int64_t gate_up_rows, down_rows;
  decltype(&avx2::quant_pack_panels) pack_panels;
  decltype(&avx2::quant_prefill_gate_up) gate_up;
  decltype(&avx2::quant_prefill_down) down;
};

constexpr Table kTables[] = {
    {},
    {avx2::kQuantHalf, avx2::kQuantBlockRows, avx2::quant_pack_panels, avx2::quant_prefill_gate_up,
     avx2::quant_prefill_down},
    {avx512::kQuantHalf, avx512::kQuantBlockRows, avx512::quant_pack_panels, avx512::quant_prefill_gate_up,
     avx512::quant_prefill_down},
    {avx512vnni::kQuantHalf, avx512vnni::kQuantBlockRows, avx512vnni::quant_pack_panels, avx512vnni::quant_prefill_gate_up,
     avx512vnni::quant_prefill_down},
    {amx::kQuantHalf, amx::kQuantBlockRows, amx::quant_pack_panels, amx::quant_prefill_gate_up,
     amx::quant_prefill_down},
};

static const Table* table = nullptr;

}  // namespace l4j::moe_quant_prefill

// The rows of W1, and as many of W3, and those of W2, that are one block of the work.
static int64_t l4j_moe_quant_gate_up_rows() { return l4j::moe_quant_prefill::table->gate_up_rows; }
static int64_t l4j_moe_quant_down_rows() { return l4j::moe_quant_prefill::table->down_rows; }
// The bytes of a panel against the layout of a matrix.
static int64_t l4j_moe_quant_panel_bytes(int64_t matrix) {
  auto w = reinterpret_cast<const l4j::QuantMatrix*>(matrix);
  return l4j::QuantPanels::at(nullptr, *w, l4j::moe_prefill::table->panel).panel_bytes();
}
// `pairs` may be 0: then rows of x stand in the order of lanes.
static void l4j_moe_quant_pack_panels(int64_t matrix, int64_t experts, int64_t size, int64_t x, int64_t ldx,
                                      int64_t pairs, int64_t slots, int64_t panels, int64_t from, int64_t to) {
  l4j::moe_quant_prefill::table->pack_panels(
      *reinterpret_cast<const l4j::QuantMatrix*>(matrix), reinterpret_cast<const l4j::Expert*>(experts), size,
      reinterpret_cast<const float*>(x), ldx, reinterpret_cast<const int32_t*>(pairs), slots,
      reinterpret_cast<void*>(panels), from, to);
}
static void l4j_moe_quant_prefill_gate_up(int64_t experts, int64_t size, int64_t panels, int64_t I, int64_t hidden,
                                          int64_t from, int64_t to) {
  l4j::moe_quant_prefill::table->gate_up(reinterpret_cast<const l4j::Expert*>(experts), size,
                                         reinterpret_cast<void*>(panels), I, reinterpret_cast<float*>(hidden), from,
                                         to);
}
static void l4j_moe_quant_prefill_down(int64_t experts, int64_t size, int64_t panels, int64_t H, int64_t y,
                                       int64_t from, int64_t to) {
  l4j::moe_quant_prefill::table->down(reinterpret_cast<const l4j::Expert*>(experts), size,
                                      reinterpret_cast<void*>(panels), H, reinterpret_cast<float*>(y), from, to);
}

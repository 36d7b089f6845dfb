// The functions of libjnimoe over quantized experts. All experts have one format; `tokens` and `pairs` count the rows
// of x and hidden, which lie as QuantRows.
#pragma once

#include <type_traits>

#include "expert.h"
#include "isa.h"
#include "quant_layout.h"
#define L4J_KERNELS "quant_vectors.h"
#include "foreach_isa.h"
#define L4J_KERNELS "quant_products.h"
#define L4J_FOR_VNNI
#include "foreach_isa.h"
#define L4J_KERNELS "quant_dots.h"
#define L4J_FOR_VNNI
#include "foreach_isa.h"
#define L4J_KERNELS "quant_rows.h"
#include "foreach_isa.h"
#define L4J_KERNELS "quant_experts_kernels.h"
#define L4J_FOR_VNNI
#include "foreach_isa.h"

namespace l4j::moe_quant {

struct Table {
  decltype(&avx2::quantize_rows) quantize_rows;
  decltype(&avx2::quant_gate_up) gate_up;
  decltype(&avx2::quant_down) down;
};

constexpr Table kTables[] = {
    {},
    {avx2::quantize_rows, avx2::quant_gate_up, avx2::quant_down},
    {avx512::quantize_rows, avx512::quant_gate_up, avx512::quant_down},
    {avx512::quantize_rows, avx512vnni::quant_gate_up, avx512vnni::quant_down},
};

static const Table* table = nullptr;

static QuantRows rows_at(int64_t address, int64_t rows, const void* matrix) {
  return QuantRows::at(reinterpret_cast<void*>(address), rows, *static_cast<const QuantMatrix*>(matrix));
}

}  // namespace l4j::moe_quant

static void l4j_moe_quantize_rows(int64_t matrix, int64_t x, int64_t ldx, int64_t out, int64_t rows, int64_t from,
                                  int64_t to) {
  using namespace l4j::moe_quant;
  auto w = reinterpret_cast<const l4j::QuantMatrix*>(matrix);
  table->quantize_rows(*w, reinterpret_cast<float*>(x), ldx, rows_at(out, rows, w), from, to);
}
static void l4j_moe_quant_gate_up(int64_t experts, int64_t x, int64_t tokens, int64_t pairs, int64_t slots, int64_t I,
                                  int64_t hidden, int64_t from, int64_t to) {
  using namespace l4j::moe_quant;
  auto active = reinterpret_cast<const l4j::Expert*>(experts);
  table->gate_up(active, rows_at(x, tokens, active->gate), reinterpret_cast<int32_t*>(pairs), slots, I,
                 reinterpret_cast<float*>(hidden), from, to);
}
static void l4j_moe_quant_down(int64_t experts, int64_t hidden, int64_t pairs, int64_t H, int64_t y, int64_t from,
                               int64_t to) {
  using namespace l4j::moe_quant;
  auto active = reinterpret_cast<const l4j::Expert*>(experts);
  table->down(active, rows_at(hidden, pairs, active->down), H, reinterpret_cast<float*>(y), from, to);
}

// The functions of libjnicore over quantized matrices; `matrix` is the address of a QuantMatrix.
#pragma once

#include <type_traits>

#include "isa.h"
#include "quant_layout.h"
#include "tiles.h"
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
#define L4J_KERNELS "quant_kernels.h"
#define L4J_FOR_VNNI
#include "foreach_isa.h"
#define L4J_KERNELS "quant_panels.h"
#define L4J_FOR_VNNI
#define L4J_FOR_AMX
#include "foreach_isa.h"
#define L4J_KERNELS "quant_panel_kernels.h"
#define L4J_FOR_VNNI
#define L4J_FOR_AMX
#include "foreach_isa.h"
#define L4J_KERNELS "dequantize_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "quantizer_kernels.h"
#include "foreach_isa.h"

namespace l4j::quant {

struct Table {
  int64_t panel, block_rows;
  decltype(&avx2::quantize) quantize;
  decltype(&avx2::dequantize) dequantize;
  decltype(&avx2::quantize_rows) quantize_rows;
  decltype(&avx2::quant_gemm) quant_gemm;
  decltype(&avx2::quant_pack) quant_pack;
  decltype(&avx2::quant_panel_gemm) quant_panel_gemm;
};

constexpr Table kTables[] = {
    {},
    {avx2::kQuantPanel, avx2::kQuantBlockRows, avx2::quantize, avx2::dequantize, avx2::quantize_rows,
     avx2::quant_gemm, avx2::quant_pack, avx2::quant_panel_gemm},
    {avx512::kQuantPanel, avx512::kQuantBlockRows, avx512::quantize, avx512::dequantize, avx512::quantize_rows,
     avx512::quant_gemm, avx512::quant_pack, avx512::quant_panel_gemm},
    {avx512vnni::kQuantPanel, avx512vnni::kQuantBlockRows, avx512::quantize, avx512::dequantize, avx512::quantize_rows,
     avx512vnni::quant_gemm, avx512vnni::quant_pack, avx512vnni::quant_panel_gemm},
    {amx::kQuantPanel, amx::kQuantBlockRows, avx512::quantize, avx512::dequantize, avx512::quantize_rows,
     avx512vnni::quant_gemm, amx::quant_pack, amx::quant_panel_gemm},
};

static const Table* table = nullptr;

static const QuantMatrix& matrix_at(int64_t address) { return *reinterpret_cast<const QuantMatrix*>(address); }

// The calling thread's memory for rounded activations; it grows to the largest asked of it, and ends with the thread.
struct Scratch {
  void* memory = nullptr;
  int64_t bytes = 0;

  bool grow(int64_t wanted) {
    if (wanted <= bytes) return true;
    void* larger = std::realloc(memory, wanted);
    if (larger == nullptr) return false;
    memory = larger;
    bytes = wanted;
    return true;
  }
  ~Scratch() { std::free(memory); }
};

static thread_local Scratch scratch;

}  // namespace l4j::quant

static int64_t l4j_quantize(int wtype, int64_t w, int64_t ldw, int64_t matrix, int whole, int64_t report, int64_t n0,
                            int64_t n1) {
  using namespace l4j::quant;
  return table->quantize(wtype, reinterpret_cast<void*>(w), ldw, matrix_at(matrix), whole != 0,
                         reinterpret_cast<double*>(report), n0, n1);
}
static void l4j_dequantize(int64_t matrix, int64_t out, int64_t ldo, int64_t n0, int64_t n1) {
  using namespace l4j::quant;
  table->dequantize(matrix_at(matrix), reinterpret_cast<float*>(out), ldo, n0, n1);
}
// out[m, n0:n1) = (a w^T)[m, n0:n1) for M rows of activations, which every caller rounds for itself: that is less work
// than waiting for each other. Returns 0 if there is no memory for them.
static int l4j_quant_gemm(int64_t matrix, int64_t a, int64_t lda, int64_t out, int64_t ldo, int64_t M, int64_t n0,
                          int64_t n1) {
  using namespace l4j::quant;
  const l4j::QuantMatrix& w = matrix_at(matrix);
  if (!scratch.grow(l4j::QuantRows::bytes(M, w))) return 0;
  l4j::QuantRows rows = l4j::QuantRows::at(scratch.memory, M, w);
  table->quantize_rows(w, reinterpret_cast<float*>(a), lda, rows, 0, M);
  table->quant_gemm(w, rows, reinterpret_cast<float*>(out), ldo, M, n0, n1);
  return 1;
}
// The same for many rows, in two steps: activations in panels, then the product.
static int64_t l4j_quant_panel_tokens() { return l4j::quant::table->panel; }
static int64_t l4j_quant_block_rows() { return l4j::quant::table->block_rows; }
static int64_t l4j_quant_panel_bytes(int64_t matrix) {
  using namespace l4j::quant;
  return l4j::QuantPanels::at(nullptr, matrix_at(matrix), table->panel).panel_bytes();
}
static void l4j_quant_pack(int64_t matrix, int64_t a, int64_t lda, int64_t M, int64_t panels, int64_t p0, int64_t p1) {
  using namespace l4j::quant;
  table->quant_pack(matrix_at(matrix), reinterpret_cast<float*>(a), lda, M, reinterpret_cast<void*>(panels), p0, p1);
}
static void l4j_quant_panel_gemm(int64_t matrix, int64_t panels, int64_t out, int64_t ldo, int64_t M, int64_t n0,
                                 int64_t n1) {
  using namespace l4j::quant;
  table->quant_panel_gemm(matrix_at(matrix), reinterpret_cast<void*>(panels), reinterpret_cast<float*>(out), ldo, M,
                          n0, n1);
}

// The functions of libjnicore over quantized matrices; `matrix` is the address of a QuantMatrix.
#pragma once

#include <type_traits>

#include "isa.h"
#include "quant_layout.h"
#define L4J_KERNELS "quant_dots.h"
#include "foreach_isa.h"
#define L4J_KERNELS "quant_rows.h"
#include "foreach_isa.h"
#define L4J_KERNELS "quant_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "dequantize_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "quantizer_kernels.h"
#include "foreach_isa.h"

namespace l4j::quant {

struct Table {
  decltype(&avx2::quantize) quantize;
  decltype(&avx2::dequantize) dequantize;
  decltype(&avx2::quantize_rows) quantize_rows;
  decltype(&avx2::quant_gemm) quant_gemm;
};

constexpr Table kTables[] = {
    {},
    {avx2::quantize, avx2::dequantize, avx2::quantize_rows, avx2::quant_gemm},
    {avx512::quantize, avx512::dequantize, avx512::quantize_rows, avx512::quant_gemm},
};

static const Table* table = nullptr;

static const QuantMatrix& matrix_at(int64_t address) { return *reinterpret_cast<const QuantMatrix*>(address); }

static QuantRows rows_at(int64_t address, int64_t M, const QuantMatrix& w) {
  return QuantRows::at(reinterpret_cast<void*>(address), M, w);
}

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
static void l4j_quantize_rows(int64_t matrix, int64_t x, int64_t ldx, int64_t out, int64_t M, int64_t from,
                              int64_t to) {
  using namespace l4j::quant;
  const l4j::QuantMatrix& w = matrix_at(matrix);
  table->quantize_rows(w, reinterpret_cast<float*>(x), ldx, rows_at(out, M, w), from, to);
}
static void l4j_quant_gemm(int64_t matrix, int64_t x, int64_t out, int64_t ldo, int64_t M, int64_t n0, int64_t n1) {
  using namespace l4j::quant;
  const l4j::QuantMatrix& w = matrix_at(matrix);
  table->quant_gemm(w, rows_at(x, M, w), reinterpret_cast<float*>(out), ldo, M, n0, n1);
}

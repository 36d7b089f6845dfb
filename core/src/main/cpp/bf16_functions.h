// The functions of libjnicore over bf16 weights and many rows of activations, where the instruction set has tiles.
#pragma once

#include "isa.h"
#include "tiles.h"
#define L4J_KERNELS "bf16_tiles.h"
#include "foreach_isa.h"
#define L4J_KERNELS "bf16_tile_kernels.h"
#include "foreach_isa.h"

namespace l4j::bf16_products {

static bool tiles = false;

}  // namespace l4j::bf16_products

static int64_t l4j_bf16_panel_tokens() { return l4j::bf16_products::tiles ? l4j::avx512::kBf16Panel : 0; }
static int64_t l4j_bf16_panel_bytes(int64_t parts, int64_t K) { return l4j::avx512::Bf16Panels::words(parts, K) * 4; }
static void l4j_bf16_pack(int64_t a, int64_t lda, int64_t M, int64_t K, int64_t parts, int64_t panels, int64_t p0,
                          int64_t p1) {
  l4j::avx512::bf16_pack(reinterpret_cast<const float*>(a), lda, M, K, parts, reinterpret_cast<void*>(panels), p0, p1);
}
static void l4j_bf16_panel_gemm(int64_t w, int64_t ldw, int64_t parts, int64_t panels, int64_t out, int64_t ldo,
                                int64_t M, int64_t K, int64_t n0, int64_t n1) {
  l4j::avx512::bf16_panel_gemm(reinterpret_cast<const l4j::bf16*>(w), ldw, parts, reinterpret_cast<void*>(panels),
                               reinterpret_cast<float*>(out), ldo, M, K, n0, n1);
}

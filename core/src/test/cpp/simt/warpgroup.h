// Products of warp groups, as wgmma_cuda.cuh does them by inline PTX: what a lane brings. What is done with it, and what
// is found wrong, is in warpgroup.cpp.
#pragma once
#include "runtime.h"

namespace simt {

/// wgmma.mma_async m64nNk16 of bf16 with fp32 sums, both operands K-major.
struct WarpGroupProduct {
  /// N / 2 sums of a lane.
  float* d;
  int columns;
  /// Four registers of a lane, or null where `a` describes the operand in shared memory.
  const uint32_t* registers;
  uint64_t a, b;
};

}  // namespace simt

extern "C" {
void simt_wgmma(simt::WarpGroupProduct* product);
void simt_wgmma_fence();
void simt_wgmma_commit();
/// Makes the products of all groups but the last `left`.
void simt_wgmma_wait(unsigned left);
/// fence.proxy.async: what this thread has written to shared memory can be read by products after a barrier.
void simt_fence_async();
/// Takes a fence back: a copy has arrived behind it.
void simt_unfence();
/// Fails where a copy is to overwrite what products under way read.
void simt_check_unread(const void* shared);
}

namespace simt {

template <int half>
void wgmma(float (&d)[half], const uint32_t* registers, uint64_t a, uint64_t b) {
  WarpGroupProduct own{d, half * 2, registers, a, b};
  simt_wgmma(&own);
}

/// Where an address is in the window of shared memory, which starts with the dynamic part here.
inline uint32_t shared_address(const void* p) {
  return uint32_t(static_cast<const unsigned char*>(p) - simt_block->dynamic_shared);
}

}  // namespace simt

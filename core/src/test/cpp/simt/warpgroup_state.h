// What a block's warp groups have under way, and which bytes of shared memory their products may read; see warpgroup.cpp.
#pragma once
#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "warpgroup.h"

namespace simt {

/// Sums of a warp that products under way own; the kernel's registers are poisoned meanwhile.
struct Sums {
  std::array<float*, 32> home;
  int columns;
  /// [16][columns]
  std::vector<float> values;
  unsigned uses;
};

/// A product of one warp that has been asked for and not been waited for.
struct Pending {
  std::shared_ptr<Sums> sums;
  /// 16 bytes each, where they lie in shared memory: 16 rows of A (none if from registers), then B.
  std::vector<uint32_t> granules;
  /// What lay there.
  std::vector<unsigned char> bytes;
  bool from_registers;
  std::array<const uint32_t*, 32> registers;
  std::array<std::array<uint32_t, 4>, 32> fragments;
  unsigned group;
};

/// What a warp did, for the other warps of its group to have done alike.
struct Deed {
  char kind;
  int number;
  uint64_t a, b;
  bool operator==(const Deed& other) const {
    return kind == other.kind && number == other.number && a == other.a && b == other.b;
  }
};

struct GroupWarp {
  std::deque<Pending> pending;
  unsigned groups = 0;
  bool fenced = false;
  size_t deeds = 0;
};

struct Granule {
  /// Products under way that read it.
  unsigned readers = 0;
  /// Written, and not all threads have had a fence.proxy.async since.
  bool unfenced = false;
};

struct WarpGroups {
  std::vector<GroupWarp> warps;
  std::vector<std::vector<Deed>> deeds;
  /// Shared memory as it was at the last barrier; empty while nobody has had a fence.proxy.async.
  std::vector<unsigned char> seen;
  std::vector<Granule> granules;
  unsigned fences = 0;

  void start(size_t warps_of_block);
  /// At a barrier of the block, which all `threads` have come to.
  void at_barrier(size_t threads);
  /// What is wrong at the end of a block, or null.
  const char* at_end() const;
};

}  // namespace simt

// Runs the blocks of a launch; see runtime.h.
#pragma once
#include <string>

#include "runtime.h"

namespace simt {

struct Launch {
  const Entry* entry;
  void** arguments;
  uint3 grid, block;
  unsigned dynamic_bytes;
  /// Forces the storage of static shared memory to exist on the calling thread.
  void (*touch_shared)();
  bool descending;
};

/// Runs all blocks; returns what went wrong, or an empty text.
std::string run(const Launch& launch);

/// The bytes of static shared memory in the library that holds an address.
size_t static_shared_bytes(const void* code);

}  // namespace simt

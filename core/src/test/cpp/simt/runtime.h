// What kernels built for the CPU and the scheduler of their threads share.
//
// Idea: every CUDA thread of a block is a fiber with a stack of its own, and all fibers of a block run on one thread of
// the host, each until it reaches something that waits for others: a barrier of the block, or a collective of its warp.
// Shared memory is that host thread's thread-local storage. Blocks are spread over threads of the host. The order of
// fibers is free on a GPU, so the scheduler takes the worst ones: a launch runs once with ascending and once with
// descending order (see driver_launch.cpp), and whoever forgets a barrier reads what is not written yet in one of them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

struct uint3 {
  unsigned x, y, z;
};

namespace simt {

/// Finishes a collective for all lanes at once: `requests[lane]` is what each lane of `mask` brought, null for others.
using Complete = void (*)(void** requests, unsigned mask);

/// A copy to shared memory that has been asked for and not been waited for.
struct AsyncCopy {
  void* to;
  const void* from;
  unsigned bytes;
  unsigned filled;
  unsigned group;
};

enum class State : uint8_t { kReady, kAtBarrier, kInWarp, kDone };

struct Thread {
  void* stack_pointer;
  uint3 index;
  unsigned lane;
  State state;
  const char* operation;
  Complete complete;
  unsigned mask;
  void* request;
  unsigned groups;
  std::vector<AsyncCopy> copies;
};

struct Block {
  uint3 index, size, grid;
  unsigned char* dynamic_shared;
  unsigned dynamic_bytes;
  const unsigned char* static_shared;
  size_t static_bytes;
};

/// A kernel as its translation unit describes it.
struct Entry {
  unsigned parameters;
  const unsigned* sizes;
  const bool* pointers;
  /// Pointers to what is not const.
  const bool* writable;
  void (*call)(void** arguments);
  unsigned max_threads;
};

}  // namespace simt

// Of the scheduler; each host thread runs one block at a time, and one fiber of it.
extern "C" {
// At fixed places of a host thread's storage, as kernels read them at every turn.
extern __thread simt::Thread* simt_self __attribute__((tls_model("initial-exec")));
extern __thread simt::Block* simt_block __attribute__((tls_model("initial-exec")));
/// Waits for all threads of the block.
void simt_barrier();
/// Waits for all lanes in `mask`, which must call with the same `complete` and mask.
void simt_collective(const char* operation, simt::Complete complete, unsigned mask, void* request);
/// Ends the launch as failed; never returns.
[[noreturn]] void simt_fail(const char* format, ...) __attribute__((format(printf, 1, 2)));
}

// The fibers of one host thread, which run one block at a time.
#pragma once
#include <sys/mman.h>

#include <string>

#include "scheduler.h"

namespace simt {

constexpr unsigned kWarp = 32;
constexpr size_t kStack = 128 << 10;
constexpr size_t kMargin = 1 << 12;
constexpr unsigned char kPoison = 0xFF;  // a NaN in every floating type
constexpr uint64_t kCanary = 0x5117ca9a51175117;

/// The fibers of one host thread.
struct Worker {
  const Launch* launch = nullptr;
  void* scheduler = nullptr;
  std::vector<Thread> threads;
  unsigned char* stacks = nullptr;
  /// How many threads there are stacks for.
  size_t room = 0;
  std::vector<unsigned char> shared;
  Block block{};
  std::string failure;

  ~Worker() { drop_stacks(); }

  void drop_stacks() {
    if (stacks) munmap(stacks, room * kStack);
    stacks = nullptr;
    room = 0;
  }
};

extern __thread Worker* worker __attribute__((tls_model("initial-exec")));

/// Runs the block that the worker is set to.
void run_block(Worker& w);

}  // namespace simt

// Working memory of a thread, kept between calls, so that a call costs no allocation. It grows to the largest
// size asked for (some hundred KiB for heads of 128) and goes with the thread.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace l4j {

class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(memory_); }

  // Room for this many floats, aligned to 64 bytes, contents arbitrary; null if the system refuses.
  float* floats(int64_t count) {
    if (count > capacity_) {
      std::free(memory_);
      memory_ = static_cast<float*>(std::aligned_alloc(64, (count * 4 + 63) / 64 * 64));
      capacity_ = memory_ == nullptr ? 0 : count;
    }
    return memory_;
  }

  static Scratch& of_thread() {
    static thread_local Scratch scratch;
    return scratch;
  }

 private:
  float* memory_ = nullptr;
  int64_t capacity_ = 0;
};

}  // namespace l4j

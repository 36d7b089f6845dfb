// A CUDA driver without a GPU: its devices are the host's memory and simt::run. Streams are lazy on purpose: nothing
// on a stream happens before somebody waits for it, so what reads too early reads what a GPU might show it. Devices know
// nothing of one another: the memory of one is a stray pointer on the other.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace simt {

enum Status : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kNoBinary = 209,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchFailed = 719,
  kNotSupported = 801,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
};

using Operation = std::function<void()>;

struct Graph {
  std::vector<Operation> operations;
  bool broken = false;
};

struct Stream {
  std::deque<Operation> queue;
  uint64_t added = 0, done = 0;
  std::shared_ptr<Graph> capture;
  bool origin = false;
};

struct Event {
  Stream* stream = nullptr;
  uint64_t position = 0;
  std::shared_ptr<Graph> capture;
  double seconds = 0;
};

struct Allocation {
  std::unique_ptr<unsigned char[]> storage;
  size_t bytes;
  bool on_device;
};

/// Everything of a device; each function of the driver holds the `lock` of that of the calling thread.
struct Device {
  static constexpr size_t kTotal = size_t{1} << 30;
  static constexpr size_t kMargin = 4096;

  std::recursive_mutex lock;
  std::map<uintptr_t, Allocation> allocations;
  std::vector<Stream*> streams;
  size_t used = 0;
  Status lost = kSuccess;

  /// The allocation that holds an address, or null.
  std::pair<const uintptr_t, Allocation>* find(const void* address);
  Status allocate(size_t bytes, bool on_device, void** out);
  Status release(void* address);
  /// What was written beside an allocation, or an empty text.
  std::string damage();
  bool capturing() const;
  /// Puts an operation on a stream, or into the graph that the stream is captured into.
  void add(Stream* stream, Operation operation);
  void drain(Stream* stream, uint64_t until);
  void drain_all();
  /// Tells on standard error what happened and loses the device.
  void lose(Status status, const std::string& why);
};

constexpr int kDevices = 2;
extern Device devices[kDevices];
/// The device of the calling thread, which is also its context; null for none.
extern thread_local Device* current;

}  // namespace simt

#define SIMT_API extern "C" __attribute__((visibility("default")))
#define SIMT_ENTER()                                              \
  if (!simt::current) return simt::kInvalidContext;               \
  simt::Device& device = *simt::current;                          \
  std::lock_guard<std::recursive_mutex> hold_(device.lock);       \
  if (device.lost) return device.lost

// Memory: cuMem*. Fresh device memory holds NaN bit patterns, and has margins that nobody may write.
#include <cstring>

#include "device.h"

namespace simt {
namespace {
constexpr size_t kAlignment = 256;
constexpr unsigned char kPoison = 0xFF;

bool is_pageable(Device& device, const void* address) { return device.find(address) == nullptr; }
}  // namespace

std::pair<const uintptr_t, Allocation>* Device::find(const void* address) {
  uintptr_t at = reinterpret_cast<uintptr_t>(address);
  auto after = allocations.upper_bound(at);
  if (after == allocations.begin()) return nullptr;
  auto& candidate = *--after;
  return at < candidate.first + std::max<size_t>(candidate.second.bytes, 1) ? &candidate : nullptr;
}

Status Device::allocate(size_t bytes, bool on_device, void** out) {
  if (bytes == 0) return kInvalidValue;
  if (bytes > kTotal - (on_device ? used : 0)) return kOutOfMemory;
  size_t whole = bytes + 2 * kMargin + kAlignment;
  std::unique_ptr<unsigned char[]> storage(new unsigned char[whole]);
  memset(storage.get(), kPoison, whole);
  uintptr_t start = (reinterpret_cast<uintptr_t>(storage.get()) + kMargin + kAlignment - 1) & ~(kAlignment - 1);
  allocations[start] = {std::move(storage), bytes, on_device};
  used += on_device ? bytes : 0;
  *out = reinterpret_cast<void*>(start);
  return kSuccess;
}

Status Device::release(void* address) {
  auto found = allocations.find(reinterpret_cast<uintptr_t>(address));
  if (found == allocations.end()) return kInvalidValue;
  used -= found->second.on_device ? found->second.bytes : 0;
  allocations.erase(found);
  return kSuccess;
}

std::string Device::damage() {
  static const std::vector<unsigned char> untouched(kMargin, kPoison);
  for (auto& [start, allocation] : allocations) {
    const auto* first = reinterpret_cast<const unsigned char*>(start);
    if (memcmp(first - kMargin, untouched.data(), kMargin) == 0 &&
        memcmp(first + allocation.bytes, untouched.data(), kMargin) == 0) {
      continue;
    }
    for (size_t i = 1; i <= kMargin; i++) {
      bool before = first[-ptrdiff_t(i)] != kPoison;
      if (before || first[allocation.bytes + i - 1] != kPoison) {
        return "a write " + std::to_string(i) + " bytes " + (before ? "before" : "behind") + " an allocation of " +
               std::to_string(allocation.bytes);
      }
    }
  }
  return "";
}
}  // namespace simt

SIMT_API int cuMemAlloc_v2(void** out, size_t bytes) {
  SIMT_ENTER();
  return device.capturing() ? simt::kCaptureUnsupported : device.allocate(bytes, true, out);
}

SIMT_API int cuMemFree_v2(void* address) {
  SIMT_ENTER();
  device.drain_all();
  return device.lost ? device.lost : device.release(address);
}

SIMT_API int cuMemAllocAsync(void** out, size_t bytes, simt::Stream* stream) {
  SIMT_ENTER();
  return stream->capture ? simt::kNotSupported : device.allocate(bytes, true, out);
}

SIMT_API int cuMemFreeAsync(void* address, simt::Stream* stream) {
  SIMT_ENTER();
  if (stream->capture) return simt::kNotSupported;
  if (!device.find(address)) return simt::kInvalidValue;
  device.add(stream, [&device, address] { device.release(address); });
  return simt::kSuccess;
}

SIMT_API int cuMemHostAlloc(void** out, size_t bytes, unsigned) {
  SIMT_ENTER();
  return device.allocate(bytes, false, out);
}

SIMT_API int cuMemFreeHost(void* address) {
  SIMT_ENTER();
  device.drain_all();
  return device.release(address);
}

SIMT_API int cuMemGetInfo_v2(size_t* free, size_t* total) {
  SIMT_ENTER();
  *total = simt::Device::kTotal;
  *free = simt::Device::kTotal - device.used;
  return simt::kSuccess;
}

SIMT_API int cuMemcpyAsync(void* to, const void* from, size_t bytes, simt::Stream* stream) {
  SIMT_ENTER();
  if (simt::is_pageable(device, to)) {
    // As a driver does: it returns when the bytes are there.
    if (stream->capture) return simt::kCaptureUnsupported;
    device.drain(stream, stream->added);
    if (!device.lost) memcpy(to, from, bytes);
    return device.lost;
  }
  if (simt::is_pageable(device, from)) {
    if (stream->capture) return simt::kCaptureUnsupported;
    auto staged = std::make_shared<std::vector<unsigned char>>(
        static_cast<const unsigned char*>(from), static_cast<const unsigned char*>(from) + bytes);
    device.add(stream, [to, staged] { memcpy(to, staged->data(), staged->size()); });
    return simt::kSuccess;
  }
  device.add(stream, [to, from, bytes] { memmove(to, from, bytes); });
  return simt::kSuccess;
}

SIMT_API int cuMemsetD8Async(void* to, unsigned char value, size_t bytes, simt::Stream* stream) {
  SIMT_ENTER();
  if (!device.find(to)) return simt::kInvalidValue;
  device.add(stream, [to, value, bytes] { memset(to, value, bytes); });
  return simt::kSuccess;
}

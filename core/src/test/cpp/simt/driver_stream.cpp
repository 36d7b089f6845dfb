// Streams, events and graphs: cuStream*, cuEvent*, cuGraph*.
#include <algorithm>
#include <chrono>

#include "device.h"

namespace simt {

void Device::add(Stream* stream, Operation operation) {
  if (stream->capture) {
    stream->capture->operations.push_back(std::move(operation));
  } else {
    stream->queue.push_back(std::move(operation));
    stream->added++;
  }
}

void Device::drain(Stream* stream, uint64_t until) {
  while (stream->done < until && !stream->queue.empty()) {
    Operation next = std::move(stream->queue.front());
    stream->queue.pop_front();
    stream->done++;
    if (!lost) next();
  }
}

void Device::drain_all() {
  for (Stream* stream : streams) drain(stream, stream->added);
}

bool Device::capturing() const {
  return std::any_of(streams.begin(), streams.end(), [](Stream* s) { return s->capture != nullptr; });
}

namespace {
double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Whoever waits while a stream is captured breaks the capture.
bool refuses_waiting(Stream* stream) {
  if (stream->capture) stream->capture->broken = true;
  return stream->capture != nullptr;
}
}  // namespace
}  // namespace simt

SIMT_API int cuStreamCreate(simt::Stream** out, unsigned) {
  SIMT_ENTER();
  *out = new simt::Stream();
  device.streams.push_back(*out);
  return simt::kSuccess;
}

SIMT_API int cuStreamDestroy_v2(simt::Stream* stream) {
  SIMT_ENTER();
  device.drain(stream, stream->added);
  device.streams.erase(std::find(device.streams.begin(), device.streams.end(), stream));
  delete stream;
  return device.lost;
}

SIMT_API int cuStreamSynchronize(simt::Stream* stream) {
  SIMT_ENTER();
  if (simt::refuses_waiting(stream)) return simt::kCaptureUnsupported;
  device.drain(stream, stream->added);
  return device.lost;
}

SIMT_API int cuStreamQuery(simt::Stream* stream) {
  SIMT_ENTER();
  device.drain(stream, stream->done + 1);
  return device.lost ? device.lost : stream->queue.empty() ? simt::kSuccess : simt::kNotReady;
}

SIMT_API int cuStreamWaitEvent(simt::Stream* stream, simt::Event* event, unsigned) {
  SIMT_ENTER();
  if (event->capture) {
    stream->capture = event->capture;
  } else if (event->stream != nullptr) {
    device.add(stream, [&device, source = event->stream, position = event->position] { device.drain(source, position); });
  }
  return simt::kSuccess;
}

SIMT_API int cuStreamBeginCapture_v2(simt::Stream* stream, int) {
  SIMT_ENTER();
  if (stream->capture) return simt::kInvalidValue;
  stream->capture = std::make_shared<simt::Graph>();
  stream->origin = true;
  return simt::kSuccess;
}

SIMT_API int cuStreamEndCapture(simt::Stream* stream, simt::Graph** out) {
  SIMT_ENTER();
  *out = nullptr;
  if (!stream->origin) return simt::kInvalidValue;
  std::shared_ptr<simt::Graph> graph = stream->capture;
  stream->origin = false;
  for (simt::Stream* other : device.streams) {
    if (other->capture == graph) other->capture = nullptr;
  }
  if (graph->broken) return simt::kCaptureInvalidated;
  *out = new simt::Graph(*graph);
  return simt::kSuccess;
}

SIMT_API int cuGraphInstantiateWithFlags(simt::Graph** out, simt::Graph* graph, unsigned long long) {
  SIMT_ENTER();
  *out = new simt::Graph(*graph);
  return simt::kSuccess;
}

SIMT_API int cuGraphLaunch(simt::Graph* graph, simt::Stream* stream) {
  SIMT_ENTER();
  device.add(stream, [&device, operations = graph->operations] {
    for (const simt::Operation& operation : operations) {
      if (!device.lost) operation();
    }
  });
  return simt::kSuccess;
}

SIMT_API int cuGraphExecDestroy(simt::Graph* graph) {
  SIMT_ENTER();
  delete graph;
  return simt::kSuccess;
}

SIMT_API int cuGraphDestroy(simt::Graph* graph) {
  SIMT_ENTER();
  delete graph;
  return simt::kSuccess;
}

SIMT_API int cuEventCreate(simt::Event** out, unsigned) {
  SIMT_ENTER();
  *out = new simt::Event();
  return simt::kSuccess;
}

SIMT_API int cuEventDestroy_v2(simt::Event* event) {
  SIMT_ENTER();
  // Operations that were recorded may still tell the time to it.
  device.drain_all();
  delete event;
  return device.lost;
}

SIMT_API int cuEventRecord(simt::Event* event, simt::Stream* stream) {
  SIMT_ENTER();
  event->capture = stream->capture;
  event->stream = stream;
  if (!stream->capture) {
    device.add(stream, [event] { event->seconds = simt::now(); });
    event->position = stream->added;
  }
  return simt::kSuccess;
}

SIMT_API int cuEventQuery(simt::Event* event) {
  SIMT_ENTER();
  if (event->stream == nullptr) return simt::kSuccess;
  device.drain(event->stream, std::min(event->position, event->stream->done + 1));
  return device.lost ? device.lost : event->stream->done >= event->position ? simt::kSuccess : simt::kNotReady;
}

SIMT_API int cuEventSynchronize(simt::Event* event) {
  SIMT_ENTER();
  if (event->stream != nullptr) device.drain(event->stream, event->position);
  return device.lost;
}

SIMT_API int cuEventElapsedTime_v2(float* milliseconds, simt::Event* start, simt::Event* end) {
  SIMT_ENTER();
  if (start->seconds == 0 || end->seconds == 0) return simt::kInvalidHandle;
  *milliseconds = static_cast<float>((end->seconds - start->seconds) * 1e3);
  return simt::kSuccess;
}

// For libraries that put work of their own on streams (nccl.cpp).

SIMT_API int simt_enqueue(simt::Stream* stream, std::shared_ptr<std::function<void()>> operation) {
  SIMT_ENTER();
  device.add(stream, [operation] { (*operation)(); });
  return simt::kSuccess;
}

SIMT_API int simt_holds(const void* address, size_t bytes) {
  SIMT_ENTER();
  auto* found = device.find(address);
  size_t offset = found == nullptr ? 0 : reinterpret_cast<uintptr_t>(address) - found->first;
  bool holds = found != nullptr && found->second.on_device && offset + bytes <= found->second.bytes;
  return holds ? simt::kSuccess : simt::kInvalidValue;
}

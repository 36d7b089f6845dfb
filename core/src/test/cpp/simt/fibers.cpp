// The fibers of a block: how they take turns, wait for one another, and fail; see runtime.h.
#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "worker.h"

extern "C" {
__thread simt::Thread* simt_self;
__thread simt::Block* simt_block;
}

// Saves the registers that a call must keep, changes stacks, and restores those of the other side.
extern "C" void simt_switch(void** save, void* next);
asm(R"(
.text
.type simt_switch, @function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch, .-simt_switch
)");

namespace simt {

__thread Worker* worker;

namespace {

void to_scheduler() { simt_switch(&simt_self->stack_pointer, worker->scheduler); }

void fiber_main() {
  worker->launch->entry->call(worker->launch->arguments);
  simt_self->state = State::kDone;
  to_scheduler();
  __builtin_trap();
}

unsigned char* stack_of(Worker& w, size_t i) { return w.stacks + i * kStack; }

void prepare(Worker& w, Thread& t, size_t i) {
  uint3 size = w.launch->block;
  t.index = {unsigned(i % size.x), unsigned(i / size.x % size.y), unsigned(i / size.x / size.y)};
  t.lane = i % kWarp;
  t.state = State::kReady;
  t.groups = 0;
  t.copies.clear();
  unsigned char* low = stack_of(w, i);
  memcpy(low, &kCanary, sizeof kCanary);
  // As after a call: the address to return to, 8 past a multiple of 16.
  void** top = reinterpret_cast<void**>(low + kStack - 72);
  top[0] = nullptr;
  top[-1] = reinterpret_cast<void*>(&fiber_main);
  t.stack_pointer = top - 7;
}

void resume(Worker& w, Thread& t) {
  simt_self = &t;
  simt_switch(&w.scheduler, t.stack_pointer);
  simt_self = nullptr;
}

std::string place(const Worker& w, const Thread& t) {
  char text[160];
  snprintf(text, sizeof text, "thread (%u, %u, %u) of block (%u, %u, %u)", t.index.x, t.index.y, t.index.z,
           w.block.index.x, w.block.index.y, w.block.index.z);
  return text;
}

const char* doing(const Thread& t) {
  return t.state == State::kDone        ? "has returned"
         : t.state == State::kAtBarrier ? "waits at __syncthreads"
                                        : t.operation;
}

/// Whether two lanes have come to the same collective.
bool together(const Thread& own, const Thread& other) {
  return other.state == State::kInWarp && other.complete == own.complete && other.mask == own.mask;
}

/// Completes the collective that the running lane has come to, if it is the last one to come.
void complete_if_last(Worker& w) {
  Thread& own = *simt_self;
  size_t index = &own - w.threads.data();
  size_t first = index - own.lane;
  size_t count = std::min<size_t>(kWarp, w.threads.size() - first);
  // Most often the lane that runs last is the one that is missing.
  unsigned last = w.launch->descending ? __builtin_ctz(own.mask) : kWarp - 1 - __builtin_clz(own.mask);
  if (last >= count || !together(own, w.threads[first + last])) return;
  void* requests[kWarp] = {};
  for (unsigned lane = 0; lane < kWarp; lane++) {
    if (!(own.mask >> lane & 1)) continue;
    if (lane >= count || !together(own, w.threads[first + lane])) return;
    requests[lane] = w.threads[first + lane].request;
  }
  own.complete(requests, own.mask);
  for (unsigned lane = 0; lane < count; lane++) {
    if (own.mask >> lane & 1) w.threads[first + lane].state = State::kReady;
  }
}

/// Runs a warp until none of its lanes can go on; tells whether any did.
bool run_warp(Worker& w, size_t first, size_t count) {
  bool ran = false;
  for (bool again = true; again && w.failure.empty();) {
    again = false;
    for (size_t i = 0; i < count && w.failure.empty(); i++) {
      Thread& t = w.threads[first + (w.launch->descending ? count - 1 - i : i)];
      if (t.state == State::kReady) {
        resume(w, t);
        again = true;
      }
    }
    ran |= again;
  }
  return ran;
}

/// Why nothing moves: the first thread that waits for somebody, and somebody who is elsewhere.
std::string deadlock(const Worker& w, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const Thread& t = w.threads[i];
    if (t.state == State::kDone) continue;
    for (size_t j = 0; j < n; j++) {
      const Thread& other = w.threads[j];
      bool partner = t.state == State::kAtBarrier || (i / kWarp == j / kWarp && t.mask >> other.lane & 1);
      bool same = other.state == t.state && (t.state == State::kAtBarrier ||
                                             (other.complete == t.complete && other.mask == t.mask));
      if (partner && !same) {
        return place(w, t) + " " + doing(t) + ", but " + place(w, other) + " " + doing(other);
      }
    }
    return place(w, t) + " " + doing(t) + " for lanes that the block does not have";
  }
  return "no thread can go on";
}

void check_margins(Worker& w, size_t n) {
  for (size_t i = 0; i < n && w.failure.empty(); i++) {
    if (memcmp(stack_of(w, i), &kCanary, sizeof kCanary) != 0) w.failure = "a thread uses too much local memory";
  }
  for (size_t i = 0; i < kMargin && w.failure.empty(); i++) {
    if (w.shared[i] != kPoison || w.shared[w.shared.size() - 1 - i] != kPoison) {
      w.failure = "a write beside the dynamic shared memory of " + std::to_string(w.block.dynamic_bytes) + " bytes";
    }
  }
}

}  // namespace

void run_block(Worker& w) {
  size_t n = w.threads.size();
  std::fill(w.shared.begin(), w.shared.end(), kPoison);
  memset(const_cast<unsigned char*>(w.block.static_shared), kPoison, w.block.static_bytes);
  for (size_t i = 0; i < n; i++) prepare(w, w.threads[i], i);
  size_t warps = (n + kWarp - 1) / kWarp;
  while (w.failure.empty()) {
    bool ran = false;
    for (size_t i = 0; i < warps && w.failure.empty(); i++) {
      size_t first = (w.launch->descending ? warps - 1 - i : i) * kWarp;
      ran |= run_warp(w, first, std::min<size_t>(kWarp, n - first));
    }
    if (!w.failure.empty()) break;
    size_t done = 0, waiting = 0;
    for (Thread& t : w.threads) {
      done += t.state == State::kDone;
      waiting += t.state == State::kAtBarrier;
    }
    if (done == n) break;
    if (waiting == n) {
      for (Thread& t : w.threads) t.state = State::kReady;
    } else if (!ran) {
      w.failure = deadlock(w, n);
    }
  }
  check_margins(w, n);
}

}  // namespace simt

extern "C" {

void simt_barrier() {
  simt_self->state = simt::State::kAtBarrier;
  simt::to_scheduler();
}

void simt_collective(const char* operation, simt::Complete complete, unsigned mask, void* request) {
  if (!(mask >> simt_self->lane & 1)) simt_fail("%s with mask %08x, which lacks the caller", operation, mask);
  simt_self->operation = operation;
  simt_self->complete = complete;
  simt_self->mask = mask;
  simt_self->request = request;
  simt_self->state = simt::State::kInWarp;
  simt::complete_if_last(*simt::worker);
  simt::to_scheduler();
}

void simt_fail(const char* format, ...) {
  char text[400];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  simt::Worker& w = *simt::worker;
  w.failure = simt::place(w, *simt_self) + ": " + text;
  simt::to_scheduler();
  __builtin_unreachable();
}

// What -fsanitize calls where a kernel does what C++ leaves undefined. The data of each starts with the place.
struct Place {
  const char* file;
  uint32_t line, column;
};
#define SIMT_UNDEFINED(name, what)                                                          \
  __attribute__((visibility("default"))) void __ubsan_handle_##name(Place* at, ...) {       \
    simt_fail("%s:%u: " what, at->file, at->line);                                          \
  }
SIMT_UNDEFINED(out_of_bounds, "index outside its array")
SIMT_UNDEFINED(type_mismatch_v1, "address that is null or not aligned for its type")
SIMT_UNDEFINED(shift_out_of_bounds, "shift by more than the width")
SIMT_UNDEFINED(divrem_overflow, "division by zero")
SIMT_UNDEFINED(add_overflow, "signed overflow")
SIMT_UNDEFINED(sub_overflow, "signed overflow")
SIMT_UNDEFINED(mul_overflow, "signed overflow")
SIMT_UNDEFINED(negate_overflow, "signed overflow")
}

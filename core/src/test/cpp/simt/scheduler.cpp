// Spreads the blocks of a launch over threads of the host; see runtime.h.
#include "scheduler.h"

#include <link.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "worker.h"

namespace simt {
namespace {

struct Segment {
  const void* code;
  unsigned char* data;
  size_t bytes;
};

int find_segment(dl_phdr_info* info, size_t, void* wanted) {
  Segment& segment = *static_cast<Segment*>(wanted);
  bool holds = false;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    uintptr_t at = reinterpret_cast<uintptr_t>(segment.code) - info->dlpi_addr - part.p_vaddr;
    holds |= part.p_type == PT_LOAD && at < part.p_memsz;
  }
  if (!holds) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type == PT_TLS) {
      segment.data = static_cast<unsigned char*>(info->dlpi_tls_data);
      segment.bytes = info->dlpi_phdr[i].p_memsz;
    }
  }
  return 1;
}

/// Workers between launches: their stacks and shared memory cost more to make than most launches take.
class Workers {
 public:
  std::unique_ptr<Worker> take() {
    std::lock_guard<std::mutex> hold(lock_);
    if (idle_.empty()) return std::make_unique<Worker>();
    std::unique_ptr<Worker> last = std::move(idle_.back());
    idle_.pop_back();
    return last;
  }

  void give_back(std::unique_ptr<Worker> worker) {
    std::lock_guard<std::mutex> hold(lock_);
    idle_.push_back(std::move(worker));
  }

 private:
  std::mutex lock_;
  std::vector<std::unique_ptr<Worker>> idle_;
};

/// Never destroyed: threads of a process that ends may still run kernels.
Workers& workers = *new Workers;

void set_up(Worker& w, const Launch& launch) {
  w.launch = &launch;
  w.failure.clear();
  size_t n = size_t{launch.block.x} * launch.block.y * launch.block.z;
  w.threads.resize(n);
  if (n > w.room) {
    w.drop_stacks();
    void* room = mmap(nullptr, n * kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) {
      w.failure = "no memory for the stacks of a block";
      return;
    }
    w.stacks = static_cast<unsigned char*>(room);
    w.room = n;
  }
  launch.touch_shared();
  Segment segment{reinterpret_cast<const void*>(launch.entry->call), nullptr, 0};
  dl_iterate_phdr(find_segment, &segment);
  // Room to start at a multiple of 1024, the most that a GPU promises.
  w.shared.resize(launch.dynamic_bytes + 2 * kMargin + 1024);
  uintptr_t start = (reinterpret_cast<uintptr_t>(w.shared.data()) + kMargin + 1023) & ~uintptr_t{1023};
  size_t unused = w.shared.data() + w.shared.size() - reinterpret_cast<unsigned char*>(start) - kMargin - launch.dynamic_bytes;
  w.shared.resize(w.shared.size() - unused);
  w.block = {{},
             launch.block,
             launch.grid,
             reinterpret_cast<unsigned char*>(start),
             launch.dynamic_bytes,
             segment.data,
             segment.bytes};
}

void work(const Launch& launch, std::atomic<size_t>& next, std::mutex& lock, std::string& failure) {
  std::unique_ptr<Worker> taken = workers.take();
  Worker& own = *taken;
  worker = &own;
  simt_block = &own.block;
  set_up(own, launch);
  size_t blocks = size_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  for (size_t i = next++; i < blocks && own.failure.empty(); i = next++) {
    size_t at = launch.descending ? blocks - 1 - i : i;
    own.block.index = {unsigned(at % launch.grid.x), unsigned(at / launch.grid.x % launch.grid.y),
                       unsigned(at / launch.grid.x / launch.grid.y)};
    run_block(own);
  }
  if (!own.failure.empty()) {
    next = blocks;
    std::lock_guard<std::mutex> hold(lock);
    if (failure.empty()) failure = own.failure;
  }
  worker = nullptr;
  simt_block = nullptr;
  workers.give_back(std::move(taken));
}

}  // namespace

std::string run(const Launch& launch) {
  size_t blocks = size_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  size_t workers = std::min<size_t>(blocks, std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<size_t> next{0};
  std::mutex lock;
  std::string failure;
  std::vector<std::thread> others;
  // Never on the caller's thread: its thread-local storage and stack are the JVM's.
  for (size_t i = 0; i < workers; i++) {
    others.emplace_back([&] { work(launch, next, lock, failure); });
  }
  for (std::thread& t : others) t.join();
  return failure;
}

size_t static_shared_bytes(const void* code) {
  Segment segment{code, nullptr, 0};
  dl_iterate_phdr(find_segment, &segment);
  return segment.bytes;
}

}  // namespace simt

// NCCL on the emulated driver: ranks are threads or processes of one machine, each with a device of its own, that meet
// in shared memory. An operation is put on its stream like a launch, so it is lazy and can be recorded: when it runs, it
// lays its part down, waits for those of the others, and adds them in the order of ranks. Every rank has two places for
// its parts, which take turns: who writes its next but one knows that all have read it. Ranks whose calls do not fit wait
// for ever, as NCCL's do, until somebody aborts.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>

namespace {

enum Result { kSuccess = 0, kSystemError = 2, kInvalidArgument = 4, kInvalidUsage = 5, kInProgress = 7 };
constexpr int kVersion = 22903, kMagic = 0xcafebeef, kFloat32 = 7, kSum = 0;
constexpr int kMostRanks = 16;
/// Of one part; memory nobody wrote to takes none.
constexpr size_t kRoom = size_t{64} << 20;

struct Id {
  char name[128];
};

/// The beginning of ncclConfig_t.
struct Config {
  size_t size;
  unsigned magic, version;
  int blocking;
};

/// What a rank tells of a part.
struct Part {
  uint64_t call;
  size_t count;
};

struct Meeting {
  std::atomic<int> joined;
  std::atomic<uint64_t> arrived[kMostRanks];
  int devices[kMostRanks];
  Part parts[kMostRanks][2];
};

struct Comm {
  int rank, size;
  std::string name;
  Meeting* meeting = nullptr;
  std::atomic<bool> aborted{false};
  std::string error;
  uint64_t calls = 0;

  size_t bytes() const { return sizeof(Meeting) + 2 * kRoom * size; }
  float* place(int of, uint64_t call) const {
    return reinterpret_cast<float*>(reinterpret_cast<char*>(meeting) + sizeof(Meeting) + (of * 2 + call % 2) * kRoom);
  }
  ~Comm() {
    if (meeting != nullptr) munmap(meeting, bytes());
  }
};

using Handle = std::shared_ptr<Comm>;
thread_local std::string last_error = "none";

template <class Done>
void await(const Comm& comm, Done done) {
  for (int round = 0; !done() && !comm.aborted; round++) {
    if (round < 100) {
      sched_yield();
    } else {
      usleep(300);
    }
  }
}

/// Lays `from` down where it is not null, and leaves what all have agreed on in `to`: the sum, or the part of `root`.
void exchange(Comm& comm, const float* from, float* to, size_t count, int root) {
  uint64_t call = ++comm.calls;
  Meeting& all = *comm.meeting;
  all.parts[comm.rank][call % 2] = {uint64_t(root + 1), count};
  memcpy(comm.place(comm.rank, call), from, count * sizeof(float));
  all.arrived[comm.rank].store(call, std::memory_order_release);
  await(comm, [&] {
    for (int r = 0; r < comm.size; r++) {
      if (all.arrived[r].load(std::memory_order_acquire) < call) return false;
      const Part& part = all.parts[r][call % 2];
      if (part.call != uint64_t(root + 1) || part.count != count) return false;
    }
    return true;
  });
  if (comm.aborted) return;
  for (size_t i = 0; i < count; i++) {
    float sum = comm.place(root < 0 ? 0 : root, call)[i];
    for (int r = 1; root < 0 && r < comm.size; r++) sum += comm.place(r, call)[i];
    to[i] = sum;
  }
}

int refuse(const char* why) {
  last_error = why;
  return kInvalidArgument;
}

}  // namespace

extern "C" {
struct Stream;
int simt_enqueue(Stream* stream, std::shared_ptr<std::function<void()>> operation);
int simt_holds(const void* address, size_t bytes);
int cuCtxGetDevice(int* ordinal);
}

#define NCCL_API extern "C" __attribute__((visibility("default")))

namespace {
int put(const void* from, void* to, size_t count, int type, int root, const Handle& comm, Stream* stream) {
  if (type != kFloat32) return refuse("the emulation has fp32 only");
  if (count * sizeof(float) > kRoom) return refuse("more than the emulation has room for");
  if (simt_holds(from, count * sizeof(float)) || simt_holds(to, count * sizeof(float))) {
    return refuse("memory that is not of the communicator's device");
  }
  auto run = [comm, from, to, count, root] {
    exchange(*comm, static_cast<const float*>(from), static_cast<float*>(to), count, root);
  };
  return simt_enqueue(stream, std::make_shared<std::function<void()>>(run)) == 0 ? kSuccess : kInvalidUsage;
}
}  // namespace

NCCL_API int ncclGetVersion(int* version) {
  *version = kVersion;
  return kSuccess;
}

NCCL_API int ncclGetUniqueId(Id* id) {
  std::random_device random;
  memset(id, 0, sizeof *id);
  snprintf(id->name, sizeof id->name, "/simt-nccl-%08x%08x", random(), random());
  return kSuccess;
}

NCCL_API int ncclCommInitRankConfig(Handle** out, int size, Id id, int rank, const Config* config) {
  int device;
  if (config->magic != unsigned(kMagic) || config->blocking != 0) return refuse("a configuration of another kind");
  if (size > kMostRanks || rank < 0 || rank >= size || cuCtxGetDevice(&device) != 0) return refuse("no such rank");
  auto comm = std::make_shared<Comm>();
  comm->rank = rank;
  comm->size = size;
  comm->name = id.name;
  int file = shm_open(id.name, O_RDWR | O_CREAT, 0600);
  void* memory = MAP_FAILED;
  if (file >= 0 && ftruncate(file, comm->bytes()) == 0) {
    memory = mmap(nullptr, comm->bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  }
  if (file >= 0) close(file);
  if (memory == MAP_FAILED) return kSystemError;
  comm->meeting = static_cast<Meeting*>(memory);
  comm->meeting->devices[rank] = device;
  if (++comm->meeting->joined == size) shm_unlink(id.name);
  *out = new Handle(comm);
  return kInProgress;
}

NCCL_API int ncclCommGetAsyncError(Handle* handle, int* state) {
  Comm& comm = **handle;
  *state = comm.meeting->joined < comm.size ? kInProgress : kSuccess;
  for (int r = 0; *state == kSuccess && r < comm.size; r++) {
    if (r != comm.rank && comm.meeting->devices[r] == comm.meeting->devices[comm.rank]) {
      comm.error = "Duplicate GPU detected : rank " + std::to_string(comm.rank) + " and rank " + std::to_string(r);
      *state = kInvalidUsage;
    }
  }
  return kSuccess;
}

NCCL_API int ncclAllReduce(const void* from, void* to, size_t count, int type, int op, Handle* comm, Stream* stream) {
  return op == kSum ? put(from, to, count, type, -1, *comm, stream) : refuse("the emulation has sums only");
}

NCCL_API int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, Handle* comm, Stream* stream) {
  return put(from, to, count, type, root, *comm, stream);
}

NCCL_API int ncclCommFinalize(Handle*) { return kSuccess; }

NCCL_API int ncclCommDestroy(Handle* comm) {
  delete comm;
  return kSuccess;
}

NCCL_API int ncclCommAbort(Handle* comm) {
  (*comm)->aborted = true;
  if ((*comm)->meeting->joined < (*comm)->size) shm_unlink((*comm)->name.c_str());
  delete comm;
  return kSuccess;
}

NCCL_API const char* ncclGetErrorString(int result) {
  switch (result) {
    case kSuccess: return "no error";
    case kSystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case kInvalidArgument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case kInvalidUsage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case kInProgress: return "NCCL operation in progress";
    default: return "unknown result code";
  }
}

NCCL_API const char* ncclGetLastError(Handle* handle) {
  return handle != nullptr && !(*handle)->error.empty() ? (*handle)->error.c_str() : last_error.c_str();
}

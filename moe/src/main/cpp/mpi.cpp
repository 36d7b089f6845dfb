// libjnimoempi: the few functions of Open MPI that a communicator needs, found at run time.
//
// Neither mpi.h nor libmpi is wanted when this is built. Open MPI keeps its binary interface from version 1.10 on
// (libmpi.so.40 since 3.0): handles are pointers, predefined ones are the addresses of exported objects, and the
// declarations below repeat what its mpi.h says. The library is opened with RTLD_GLOBAL, because its plugins take
// their symbols from the process.
//
// The caller makes one call at a time (MPI_THREAD_SERIALIZED). Sizes are below 2^31: the caller cuts what is larger.
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace l4j::mpi {

using Handle = void*;  // MPI_Comm, MPI_Datatype, MPI_Errhandler, MPI_Request

constexpr int kSuccess = 0, kThreadSerialized = 2, kTagUpperBound = 0, kMaxText = 256, kMaxVersion = 256;

static int (*init_thread)(int*, char***, int, int*);
static int (*initialized)(int*);
static int (*finalize)();
static int (*comm_dup)(Handle, Handle*);
static int (*comm_rank)(Handle, int*);
static int (*comm_size)(Handle, int*);
static int (*comm_get_attr)(Handle, int, void*, int*);
static int (*comm_set_errhandler)(Handle, Handle);
static int (*isend)(const void*, int, Handle, int, int, Handle, Handle*);
static int (*irecv)(void*, int, Handle, int, int, Handle, Handle*);
static int (*test)(Handle*, int*, void*);
static int (*error_string)(int, char*, int*);
static int (*get_library_version)(char*, int*);

static Handle world, byte_type, errors_return;
static Handle comm = nullptr;  // a duplicate of the world: nobody else's messages come through it
static std::string problem;
static char version[kMaxVersion + 1];

template <class F>
static bool find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (function == nullptr) problem = std::string("libmpi is not Open MPI: it has no ") + name;
  return function != nullptr;
}

static bool open() {
  void* library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    problem = dlerror();
    library = dlopen("libmpi.so", RTLD_NOW | RTLD_GLOBAL);
  }
  if (library == nullptr) return false;
  bool found = find(library, "ompi_mpi_comm_world", world) && find(library, "ompi_mpi_byte", byte_type) &&
               find(library, "ompi_mpi_errors_return", errors_return) &&
               find(library, "MPI_Init_thread", init_thread) && find(library, "MPI_Initialized", initialized) &&
               find(library, "MPI_Finalize", finalize) && find(library, "MPI_Comm_dup", comm_dup) &&
               find(library, "MPI_Comm_rank", comm_rank) && find(library, "MPI_Comm_size", comm_size) &&
               find(library, "MPI_Comm_get_attr", comm_get_attr) &&
               find(library, "MPI_Comm_set_errhandler", comm_set_errhandler) &&
               find(library, "MPI_Isend", isend) && find(library, "MPI_Irecv", irecv) &&
               find(library, "MPI_Test", test) && find(library, "MPI_Error_string", error_string) &&
               find(library, "MPI_Get_library_version", get_library_version);
  if (!found) return false;
  int length = 0;
  get_library_version(version, &length);
  std::string text(version);
  std::size_t comma = text.find(',');
  if (comma != std::string::npos) version[comma] = 0;
  problem.clear();
  return true;
}

static int failed(const char* what, int code) {
  char text[kMaxText + 1] = {};
  int length = 0;
  error_string(code, text, &length);
  problem = std::string(what) + ": " + text;
  return -1;
}

static int start() {
  int started = 0;
  initialized(&started);
  if (started) {
    problem = "MPI was initialised by somebody else in this process";
    return -1;
  }
  // The JVM uses SIGSEGV and its like itself; Open MPI's handlers only print a stack.
  setenv("OMPI_MCA_opal_signal", "", 0);
  int provided = 0;
  int code = init_thread(nullptr, nullptr, kThreadSerialized, &provided);
  if (code != kSuccess) return failed("MPI_Init_thread", code);
  if (provided < kThreadSerialized) {
    problem = "this Open MPI was built without support for threads";
    return -1;
  }
  code = comm_dup(world, &comm);
  if (code != kSuccess) return failed("MPI_Comm_dup", code);
  comm_set_errhandler(comm, errors_return);
  return 0;
}

}  // namespace l4j::mpi

// 0, or -1 with the reason in l4j_mpi_problem.
static int l4j_mpi_open() { return l4j::mpi::open() ? 0 : -1; }
static const char* l4j_mpi_problem() { return l4j::mpi::problem.c_str(); }
static const char* l4j_mpi_version() { return l4j::mpi::version; }
static int l4j_mpi_start() { return l4j::mpi::start(); }
static void l4j_mpi_finish() { l4j::mpi::finalize(); }

static int l4j_mpi_rank() {
  int rank = -1;
  l4j::mpi::comm_rank(l4j::mpi::comm, &rank);
  return rank;
}
static int l4j_mpi_size() {
  int size = -1;
  l4j::mpi::comm_size(l4j::mpi::comm, &size);
  return size;
}
static int l4j_mpi_max_tag() {
  int *bound = nullptr, found = 0;
  l4j::mpi::comm_get_attr(l4j::mpi::world, l4j::mpi::kTagUpperBound, &bound, &found);
  return found ? *bound : 32767;  // what the standard guarantees
}

// The request, or -1 with the reason in l4j_mpi_problem.
static int64_t l4j_mpi_send(int64_t address, int bytes, int to, int tag) {
  using namespace l4j::mpi;
  Handle request = nullptr;
  int code = isend(reinterpret_cast<void*>(address), bytes, byte_type, to, tag, comm, &request);
  return code == kSuccess ? reinterpret_cast<int64_t>(request) : failed("MPI_Isend", code);
}
static int64_t l4j_mpi_receive(int64_t address, int bytes, int from, int tag) {
  using namespace l4j::mpi;
  Handle request = nullptr;
  int code = irecv(reinterpret_cast<void*>(address), bytes, byte_type, from, tag, comm, &request);
  return code == kSuccess ? reinterpret_cast<int64_t>(request) : failed("MPI_Irecv", code);
}
// 1 when done (the request is gone then), 0 when not, -1 with the reason in l4j_mpi_problem.
static int l4j_mpi_test(int64_t request) {
  using namespace l4j::mpi;
  Handle handle = reinterpret_cast<Handle>(request);
  int done = 0;
  int code = test(&handle, &done, nullptr);
  return code == kSuccess ? done : failed("MPI_Test", code);
}

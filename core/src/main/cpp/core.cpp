// libjnicore: matrix products, row-wise operators, machine limits, file mapping. Addresses come from Java
// as 64-bit integers; the Java side has checked every size.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "isa.h"
#define L4J_KERNELS "gemm_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "rows_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "biased_rows_kernels.h"
#include "foreach_isa.h"
#define L4J_KERNELS "limits_kernels.h"
#include "foreach_isa.h"
#include "amx_limits.h"
#include "bf16_functions.h"
#include "quant_functions.h"

namespace l4j::core {

struct Table {
  decltype(&avx2::gemm) gemm;
  decltype(&avx2::widen) widen;
  decltype(&avx2::rms_norm) rms_norm;
  decltype(&avx2::scaled_sum) scaled_sum;
  decltype(&avx2::sum_norm) sum_norm;
  decltype(&avx2::rope) rope;
  decltype(&avx2::gather_rows) gather_rows;
  decltype(&avx2::layer_norm) layer_norm;
  decltype(&avx2::add_bias) add_bias;
  decltype(&avx2::fma_chains) fma_chains;
  decltype(&avx2::read_memory) read_memory;
  decltype(&avx2::copy_memory) copy_memory;
};

constexpr Table kTables[] = {
    {},
    {avx2::gemm, avx2::widen, avx2::rms_norm, avx2::scaled_sum, avx2::sum_norm, avx2::rope, avx2::gather_rows,
     avx2::layer_norm, avx2::add_bias, avx2::fma_chains, avx2::read_memory, avx2::copy_memory},
    {avx512::gemm, avx512::widen, avx512::rms_norm, avx512::scaled_sum, avx512::sum_norm, avx512::rope, avx512::gather_rows,
     avx512::layer_norm, avx512::add_bias, avx512::fma_chains, avx512::read_memory, avx512::copy_memory},
};

static const Table* table = nullptr;

template <class T>
static T* at(int64_t address) {
  return reinterpret_cast<T*>(address);
}

}  // namespace l4j::core

// Takes the instruction set wanted (0: the best) and returns the best one of this CPU.
static int l4j_core_init(int isa) {
  int best = l4j::best_isa();
  l4j::core::table = l4j::table_for(l4j::core::kTables, isa, best);
  l4j::quant::table = l4j::table_for(l4j::quant::kTables, isa, best);
  l4j::bf16_products::tiles = (isa == 0 ? best : std::min(isa, best)) == l4j::kAmx;
  return best;
}

static void l4j_prefer_large_pages(int64_t address, int64_t bytes) {
  int64_t page = sysconf(_SC_PAGESIZE), first = (address + page - 1) / page * page;
#ifdef MADV_HUGEPAGE
  madvise(l4j::core::at<void>(first), address + bytes - first, MADV_HUGEPAGE);
#endif
}

static const char* l4j_cpu_features() {
  static char text[256];
  __builtin_cpu_init();
  text[0] = 0;
#define L4J_FEATURE(name) \
  if (__builtin_cpu_supports(name)) strcat(strcat(text, text[0] ? " " : ""), name)
  L4J_FEATURE("sse4.2");
  L4J_FEATURE("avx");
  L4J_FEATURE("avx2");
  L4J_FEATURE("fma");
  L4J_FEATURE("f16c");
  L4J_FEATURE("avx512f");
  L4J_FEATURE("avx512bw");
  L4J_FEATURE("avx512vl");
  L4J_FEATURE("avx512dq");
  L4J_FEATURE("avx512vnni");
  L4J_FEATURE("avx512bf16");
  L4J_FEATURE("amx-tile");
  L4J_FEATURE("amx-bf16");
  L4J_FEATURE("amx-int8");
#undef L4J_FEATURE
  return text;
}

static void l4j_gemm(int wtype, int64_t a, int64_t lda, int64_t w, int64_t ldw, int64_t out, int64_t ldo,
                     int64_t M, int64_t n0, int64_t n1, int64_t K) {
  using namespace l4j::core;
  table->gemm(wtype, at<float>(a), lda, at<void>(w), ldw, at<float>(out), ldo, M, n0, n1, K);
}
static void l4j_widen(int type, int64_t from, int64_t to, int64_t n) {
  using namespace l4j::core;
  table->widen(type, at<void>(from), at<float>(to), n);
}
static void l4j_rms_norm(int wtype, int64_t x, int64_t ldx, int64_t weight, int64_t out, int64_t ldo, int64_t t0,
                         int64_t t1, int64_t H, float eps) {
  using namespace l4j::core;
  table->rms_norm(wtype, at<float>(x), ldx, at<void>(weight), at<float>(out), ldo, t0, t1, H, eps);
}
static void l4j_scaled_sum(int64_t x, float alpha, int64_t y, float beta, int64_t out, int64_t n) {
  using namespace l4j::core;
  table->scaled_sum(at<float>(x), alpha, at<float>(y), beta, at<float>(out), n);
}
static void l4j_sum_norm(int wtype, int64_t x, float alpha, int64_t y, float beta, int64_t weight, int64_t sum,
                         int64_t normed, int64_t t0, int64_t t1, int64_t H, float eps) {
  using namespace l4j::core;
  table->sum_norm(wtype, at<float>(x), alpha, at<float>(y), beta, at<void>(weight), at<float>(sum), at<float>(normed),
                  t0, t1, H, eps);
}
static void l4j_rope(int64_t x, int64_t ldt, int64_t ldh, int64_t t0, int64_t t1, int64_t heads, int64_t R,
                     int64_t inv_freq, int64_t first_position) {
  using namespace l4j::core;
  table->rope(at<float>(x), ldt, ldh, t0, t1, heads, R, at<float>(inv_freq), first_position);
}
static void l4j_gather_rows(int type, int64_t tbl, int64_t row, int64_t ids, int64_t out, int64_t ldo, int64_t t0,
                            int64_t t1) {
  using namespace l4j::core;
  table->gather_rows(type, at<void>(tbl), row, at<int32_t>(ids), at<float>(out), ldo, t0, t1);
}
static void l4j_layer_norm(int64_t x, int64_t ldx, int64_t weight, int64_t bias, int64_t out, int64_t ldo, int64_t t0,
                           int64_t t1, int64_t H, float eps) {
  using namespace l4j::core;
  table->layer_norm(at<float>(x), ldx, at<float>(weight), at<float>(bias), at<float>(out), ldo, t0, t1, H, eps);
}
static void l4j_add_bias(int activation, int64_t x, int64_t ldx, int64_t bias, int64_t out, int64_t ldo, int64_t t0,
                         int64_t t1, int64_t H) {
  using namespace l4j::core;
  table->add_bias(activation, at<float>(x), ldx, at<float>(bias), at<float>(out), ldo, t0, t1, H);
}

static int64_t l4j_fma_chains(int64_t rounds) { return l4j::core::table->fma_chains(rounds); }
static int64_t l4j_amx_chains(int64_t rounds) { return l4j::amx_chains(rounds); }
static void l4j_read_memory(int64_t p, int64_t n) {
  using namespace l4j::core;
  table->read_memory(at<float>(p), n);
}
static void l4j_copy_memory(int64_t from, int64_t to, int64_t n) {
  using namespace l4j::core;
  table->copy_memory(at<float>(from), at<float>(to), n);
}
// The largest cache, in bytes; 0 where the system does not say.
static int64_t l4j_cache_bytes() {
  return std::max({sysconf(_SC_LEVEL2_CACHE_SIZE), sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL4_CACHE_SIZE), 0L});
}

// Maps a file read-only; 0 where the system refuses.
static int64_t l4j_map_file(const char* path, int64_t bytes) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  void* p = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  close(fd);
  if (p == MAP_FAILED) return 0;
  l4j_prefer_large_pages(reinterpret_cast<int64_t>(p), bytes);  // file systems of Linux 6.16 and newer have them
  return reinterpret_cast<int64_t>(p);
}
// Gives back the memory of the whole pages in a stretch of a mapped file; they are read again when they are used.
static int l4j_release_pages(int64_t address, int64_t bytes) {
  int64_t page = sysconf(_SC_PAGESIZE), first = (address + page - 1) / page * page;
  int64_t end = (address + bytes) / page * page;
  return end <= first ? 0 : madvise(l4j::core::at<void>(first), end - first, MADV_DONTNEED);
}
static int l4j_unmap(int64_t address, int64_t bytes) { return munmap(l4j::core::at<void>(address), bytes); }

// Makes OpenMP regions that the calling thread opens run on that thread alone, where a GNU OpenMP runtime is
// loaded; returns whether there was one.
static int l4j_openmp_single_thread() {
  void* gomp = dlopen("libgomp.so.1", RTLD_NOLOAD | RTLD_LAZY);
  if (gomp == nullptr) return 0;
  auto set = reinterpret_cast<void (*)(int)>(dlsym(gomp, "omp_set_num_threads"));
  if (set != nullptr) set(1);
  dlclose(gomp);
  return set != nullptr;
}

// How fast the own matrix product reads bf16 weights, on one thread, by the CPU time of that thread:
//
//   g++ -std=c++17 -O3 -march=x86-64 -fno-math-errno -fno-trapping-math -w -Icore/src/main/cpp
//       core/src/test/cpp/gemm_speed.cpp -o /tmp/gemm_speed -ldl && /tmp/gemm_speed
//
// The weights are read again and again, so small ones come from the cache.
#include <array>
#include <cstdio>
#include <ctime>
#include <vector>

#include "core.cpp"

static double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

int main() {
  l4j_core_init(0);
  std::vector<std::array<int64_t, 3>> shapes = {{1, 768, 128},   {1, 128, 256},   {1, 2048, 128},
                                                {1, 6144, 1024}, {16, 768, 128}, {16, 6144, 1024}};
  for (auto [M, N, K] : shapes) {
    std::vector<uint16_t> w(N * K, 0x3f80);
    std::vector<float> a(M * K, 1.0f), out(M * N);
    int64_t calls = std::max<int64_t>(1, 400000000 / (M * N * K));
    double start = thread_seconds();
    for (int64_t i = 0; i < calls; ++i) {
      l4j_gemm(l4j::kBF16, (int64_t)a.data(), K, (int64_t)w.data(), K, (int64_t)out.data(), N, M, 0, N, K);
    }
    double seconds = (thread_seconds() - start) / calls;
    if (out[0] != K || out[M * N - 1] != K) return 1;
    printf("%2ld x %4ld x %4ld: %8.2f us  %5.1f GMAC/s  %5.1f GB/s of weights\n", (long)M, (long)N, (long)K,
           seconds * 1e6, M * N * K / seconds / 1e9, 2 * N * K / seconds / 1e9);
  }
}

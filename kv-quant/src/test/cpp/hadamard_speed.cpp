// The Hadamard transform of 128 MiB of rows against memcpy of the same memory, best of seven:
//
//   g++ -std=c++17 -O3 -fno-math-errno -fno-trapping-math -Icore/src/main/cpp -Ikv-quant/src/main/cpp
//       kv-quant/src/test/cpp/hadamard_speed.cpp -o hadamard_speed && ./hadamard_speed
#include <chrono>
#include <cstdio>

#include "kv_quant.cpp"

template <class F>
static double best_seconds(F run) {
  double best = 1e9;
  for (int i = 0; i < 7; ++i) {
    auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

int main() {
  constexpr int64_t kBytes = 128 << 20;
  auto* x = static_cast<float*>(std::aligned_alloc(64, kBytes));
  auto* y = static_cast<float*>(std::aligned_alloc(64, kBytes));
  for (int64_t i = 0; i < kBytes / 4; ++i) x[i] = static_cast<float>(i % 7);
  std::memset(y, 0, kBytes);
  std::printf("instruction set %d\n", l4j_kv_init(0));
  auto* transform = l4j::kv::kernels->hadamard_rows;
  for (int64_t n : {64, 96, 128, 512, 4096}) {
    int64_t rows = kBytes / 4 / n;
    double copy = best_seconds([&] { std::memcpy(y, x, rows * n * 4); });
    double apart = best_seconds([&] { transform(x, n, y, n, n, n, 0, rows); });
    double in_place = best_seconds([&] { transform(x, n, x, n, n, n, 0, rows); });
    std::printf("%5ld: copy %.1f GB/s, apart %.0f %%, in place %.0f %% of it\n", static_cast<long>(n),
                2e-9 * rows * n * 4 / copy, 100 * copy / apart, 100 * copy / in_place);
  }
}

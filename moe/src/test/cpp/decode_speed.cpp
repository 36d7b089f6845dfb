// How far the decode kernels are from the floor, one read of the weights of the active experts. One thread,
// bf16, 8 experts of H = 3072, I = 4608 (85 MB each); the best of nine rounds, in which
// both take turns. From the folder moe:
//   g++ -std=c++17 -O3 -fno-math-errno -fno-trapping-math -w -Isrc/main/cpp -I../core/src/main/cpp
//       src/test/cpp/decode_speed.cpp -o /tmp/decode_speed && /tmp/decode_speed
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "moe.cpp"

constexpr int64_t kH = 3072, kI = 4608, kExperts = 8, kWeights = 3 * kH * kI;

template <class Work>
static double seconds_of(Work work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

__attribute__((target("avx2"))) static int64_t read_all(const void* p, int64_t bytes) {
  typedef int64_t v4 __attribute__((vector_size(32)));
  auto at = static_cast<const v4*>(p);
  v4 sums[4] = {};
  for (int64_t i = 0; i + 4 <= bytes / 32; i += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += at[i + j];
  }
  v4 sum = sums[0] + sums[1] + sums[2] + sums[3];
  return sum[0] + sum[1] + sum[2] + sum[3];
}

int main() {
  if (l4j_moe_init(0) == 0) return 1;
  int64_t bytes = kExperts * kWeights * 2;
  auto* weights = static_cast<uint16_t*>(aligned_alloc(64, bytes));
  for (int64_t i = 0; i < bytes / 2; ++i) weights[i] = 0x3c00 + i % 97;
  std::vector<float> x(16 * kH, 0.5f), hidden(kExperts * 16 * kI), y(kExperts * 16 * kH);
  std::vector<int32_t> pairs(kExperts * 16);
  auto address = [](const void* p) { return reinterpret_cast<int64_t>(p); };
  volatile int64_t sink = 0;
  for (int count : {1, 2, 4, 8, 16}) {
    std::vector<l4j::Expert> experts;
    for (int64_t e = 0; e < kExperts; ++e) {
      const uint16_t* w = weights + e * kWeights;
      experts.push_back({w, kH, w + kH * kI, kH, w + 2 * kH * kI, kI, e * count, count});
      for (int p = 0; p < count; ++p) pairs[e * count + p] = p;
    }
    auto decode = [&] {
      l4j_moe_gate_up(l4j::kBF16, address(experts.data()), address(x.data()), kH, address(pairs.data()), 1, kH, kI,
                      address(hidden.data()), 0, kExperts * kI);
      l4j_moe_down(l4j::kBF16, address(experts.data()), address(hidden.data()), kH, kI, address(y.data()), 0,
                   kExperts * kH);
    };
    double floor = 1e9, seconds = 1e9;
    for (int round = 0; round < 9; ++round) {
      floor = std::min(floor, seconds_of([&] { sink = read_all(weights, bytes); }));
      seconds = std::min(seconds, seconds_of(decode));
    }
    printf("%2d tokens/expert  %5.2f GB/s of weights, plain read %5.2f GB/s: %3.0f%%, %5.1f GFLOP/s\n", count,
           bytes / seconds / 1e9, bytes / floor / 1e9, 100 * floor / seconds, 2.0 * kExperts * kWeights * count / seconds / 1e9);
  }
  free(weights);
}

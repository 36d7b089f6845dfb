// How fast the kernels over quantized weights read codes, on one thread, by the CPU time of that thread, for weights
// that stay in the cache and for 256 MB of them, beside a plain read of the same bytes; and how fast bf16 weights are
// quantized (GB/s of bf16):
//
//   g++ -std=c++17 -O3 -fno-math-errno -fno-trapping-math -w -Icore/src/main/cpp
//       core/src/test/cpp/quant_speed.cpp -o /tmp/quant_speed -ldl && /tmp/quant_speed
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "core.cpp"

static double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

template <class Work>
static double best_of(int rounds, Work work) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    double start = thread_seconds();
    work();
    best = std::min(best, thread_seconds() - start);
  }
  return best;
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

static int64_t address(const void* p) { return reinterpret_cast<int64_t>(p); }

static void measure(int64_t N, int64_t K, int64_t bits, int64_t block, int rounds) {
  int64_t blocks = K / block, bytes = N * K * bits / 8;
  auto codes = static_cast<uint8_t*>(aligned_alloc(4096, bytes));
  std::vector<uint16_t> scales(N * blocks + 32), weights(64 * K);
  std::vector<uint8_t> zeros(N * blocks + 64, 0);
  for (int64_t i = 0; i < 64 * K; ++i) weights[i] = 0x3c00 + i * 2654435761u % 251 + (i % 2 << 15);
  std::memset(codes, 7, bytes);
  std::fill_n(scales.begin(), N * blocks, 0x3c00);
  l4j::QuantMatrix w = {codes, scales.data(), zeros.data(), bits, K, K, block, blocks};
  std::vector<float> x(4 * K, 0.5f), out(4 * N);
  std::vector<char> rows(l4j::QuantRows::bytes(4, w));
  std::vector<double> report(3 * 64);
  volatile int64_t sink;
  double one = best_of(rounds, [&] { l4j_quant_gemm(address(&w), address(x.data()), K, address(out.data()), N, 1, 0, N); });
  double four = best_of(rounds, [&] { l4j_quant_gemm(address(&w), address(x.data()), K, address(out.data()), N, 4, 0, N); });
  constexpr int64_t kMany = 128;
  std::vector<float> batch(kMany * K, 0.5f), products(kMany * N);
  int64_t panels = (kMany + l4j_quant_panel_tokens() - 1) / l4j_quant_panel_tokens();
  auto packed = static_cast<char*>(aligned_alloc(64, panels * l4j_quant_panel_bytes(address(&w)) + 63 & -64));
  double pack = best_of(5, [&] { l4j_quant_pack(address(&w), address(batch.data()), K, kMany, address(packed), 0, panels); });
  double many = best_of(std::max(2, rounds / 20), [&] { l4j_quant_panel_gemm(address(&w), address(packed), address(products.data()), N, kMany, 0, N); });
  free(packed);
  double read = best_of(rounds, [&] { sink = read_all(codes, bytes); });
  double activations = best_of(20, [&] { l4j::quant::table->quantize_rows(w, x.data(), K, l4j::QuantRows::at(rows.data(), 4, w), 0, 4); });
  double making = best_of(3, [&] { l4j_quantize(l4j::kBF16, address(weights.data()), K, address(&w), 0, address(report.data()), 0, 64); });
  printf("int%ld/%-3ld %6ld x %4ld: 1 token %5.1f GB/s, 4 tokens %5.1f GB/s, %ld tokens %5.1f GFLOP/s (packing %4.1f G/s), plain read %5.1f GB/s, activations %4.1f G/s, quantizer %4.2f GB/s\n",
         (long)bits, (long)block, (long)N, (long)K, bytes / one / 1e9, bytes / four / 1e9, (long)kMany, 2e-9 * kMany * N * K / many, 1e-9 * kMany * K / pack, bytes / read / 1e9,
         4 * K / activations / 1e9, 128 * K / making / 1e9);
  free(codes);
}

int main() {
  l4j_core_init(0);
  for (int64_t bits : {8, 4}) {
    for (int64_t block : {32, 64, 128}) {
      measure(256, 1024, bits, block, 300);
      measure((256 << 20) / 6144 * 8 / bits, 6144, bits, block, 6);
    }
  }
}

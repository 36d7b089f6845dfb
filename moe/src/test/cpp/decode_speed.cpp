// How far the decode kernels are from the floor, one read of the weights of the active experts, in bf16, int8 (groups
// of 128) and int4 (groups of 32 and 128). One or two threads, 8 experts of H = 3072, I = 4608 (bf16: 85 MB each, int4
// in groups of 128: 22 MB, together beyond the last-level cache), or other sizes with -DSIZES="kH = 1024, kI = 1792,
// kExperts = 48"; the best of seven rounds, in which kernel and plain read take turns. From the folder moe:
//   g++ -std=c++17 -O3 -fno-math-errno -fno-trapping-math -w -Isrc/main/cpp -I../core/src/main/cpp
//       src/test/cpp/decode_speed.cpp -o /tmp/decode_speed -lpthread && /tmp/decode_speed THREADS
#include <sys/mman.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "moe.cpp"

static int threads = 2;

// part(from, to) over [0, n), on one or two threads.
template <class Part>
static void parallel(int64_t n, Part part) {
  if (threads == 1) return part(0, n);
  int64_t half = n / 16 * 8;
  std::thread other([&] { part(half, n); });
  part(0, half);
  other.join();
}

#ifndef SIZES
#define SIZES kH = 3072, kI = 4608, kExperts = 8
#endif
constexpr int64_t SIZES, kWeights = 3 * kH * kI, kMost = 16;

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

// Memory in large pages.
static void* large(int64_t bytes) {
  constexpr int64_t kPage = 2 << 20;
  void* p = aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
  madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

static int64_t address(const void* p) { return reinterpret_cast<int64_t>(p); }

// n floats on a cache line of their own, as tensors lie.
static float* floats(int64_t n) {
  auto* p = static_cast<float*>(aligned_alloc(64, (n * 4 + 63) / 64 * 64));
  std::fill(p, p + n, 0.5f);
  return p;
}

// What all formats share: tokens, and what the kernels write.
struct Batch {
  float *x = floats(kMost * kH), *hidden = floats(kExperts * kMost * kI), *y = floats(kExperts * kMost * kH);
  std::vector<int32_t> pairs = std::vector<int32_t>(kExperts * kMost);

  void dispatch(std::vector<l4j::Expert>& experts, int count) {
    for (int64_t e = 0; e < kExperts; ++e) {
      experts[e].first = e * count;
      experts[e].count = count;
      for (int p = 0; p < count; ++p) pairs[e * count + p] = p;
    }
  }
};

template <class Decode>
static void report(const char* name, int count, const void* weights, int64_t bytes, Decode decode) {
  double floor = 1e9, seconds = 1e9;
  for (int round = 0; round < 7; ++round) {
    floor = std::min(floor, seconds_of([&] {
      parallel(bytes / 64, [&](int64_t from, int64_t to) {
        volatile int64_t sink = read_all(static_cast<const char*>(weights) + from * 64, (to - from) * 64);
      });
    }));
    seconds = std::min(seconds, seconds_of(decode));
  }
  printf("%-8s %2d tokens/expert  %6.1f ms, %5.2f GB/s of weights, plain read %5.2f GB/s: %3.0f%%, %5.1f GFLOP/s\n",
         name, count, seconds * 1e3, bytes / seconds / 1e9, bytes / floor / 1e9, 100 * floor / seconds,
         2.0 * kExperts * kWeights * count / seconds / 1e9);
}

static void measure_bf16(Batch& batch) {
  int64_t bytes = kExperts * kWeights * 2;
  auto* weights = static_cast<uint16_t*>(large(bytes));
  for (int64_t i = 0; i < bytes / 2; ++i) weights[i] = 0x3c00 + i % 97;
  std::vector<l4j::Expert> experts;
  for (int64_t e = 0; e < kExperts; ++e) {
    const uint16_t* w = weights + e * kWeights;
    experts.push_back({w, kH, w + kH * kI, kH, w + 2 * kH * kI, kI});
  }
  for (int count : {1, 2, 3, 4}) {
    batch.dispatch(experts, count);
    int64_t table = address(experts.data()), hidden = address(batch.hidden);
    report("bf16", count, weights, bytes, [&] {
      parallel(kExperts * kI, [&](int64_t from, int64_t to) {
        l4j_moe_gate_up(l4j::kBF16, table, address(batch.x), kH, address(batch.pairs.data()), 1, kH, kI, hidden,
                        from, to);
      });
      parallel(kExperts * kH, [&](int64_t from, int64_t to) {
        l4j_moe_down(l4j::kBF16, table, hidden, kH, kI, address(batch.y), from, to);
      });
    });
  }
  free(weights);
}

// The matrix of N rows of K weights at p, which it moves behind it.
static l4j::QuantMatrix matrix_at(uint8_t*& p, int64_t bits, int64_t block, int64_t N, int64_t K) {
  l4j::QuantMatrix m = {p, nullptr, nullptr, bits, K, K, block, K / block};
  m.scales = reinterpret_cast<uint16_t*>(p += N * m.row_bytes());
  m.zeros = p += N * m.blocks * 2 + 64;
  p += bits == 4 ? N * m.blocks + 64 : 64;
  std::memset(m.codes, 0x5a, N * m.row_bytes());
  for (int64_t i = 0; i < N * m.blocks; ++i) m.scales[i] = 0x3c00 + i % 97;
  return m;
}

static void measure_quantized(const char* name, Batch& batch, int64_t bits, int64_t block) {
  int64_t room = kExperts * (kWeights * bits / 8 + kWeights / block * 3 + 1024) / 64 * 64;
  auto* memory = static_cast<uint8_t*>(large(room));
  std::memset(memory, 0, room);
  uint8_t* p = memory;
  std::vector<l4j::QuantMatrix> matrices;
  for (int64_t e = 0; e < kExperts; ++e) {
    matrices.push_back(matrix_at(p, bits, block, kI, kH));
    matrices.push_back(matrix_at(p, bits, block, kI, kH));
    matrices.push_back(matrix_at(p, bits, block, kH, kI));
  }
  std::vector<l4j::Expert> experts(kExperts);
  for (int64_t e = 0; e < kExperts; ++e) {
    experts[e] = {&matrices[3 * e], 0, &matrices[3 * e + 1], 0, &matrices[3 * e + 2], 0};
  }
  std::vector<char> rows(kMost * (kH * 2 + kH / block * 8 + 128));
  std::vector<char> hidden(kExperts * kMost * (kI * 2 + kI / block * 8 + 128));
  for (int count : {1, 2, 3, 4}) {
    batch.dispatch(experts, count);
    int64_t table = address(experts.data()), pairs = kExperts * count;
    report(name, count, memory, p - memory, [&] {
      l4j_moe_quantize_rows(address(&matrices[0]), address(batch.x), kH, address(rows.data()), count, 0, count);
      parallel(kExperts * kI, [&](int64_t from, int64_t to) {
        l4j_moe_quant_gate_up(table, address(rows.data()), count, address(batch.pairs.data()), 1, kI,
                              address(batch.hidden), from, to);
      });
      l4j_moe_quantize_rows(address(&matrices[2]), address(batch.hidden), kI, address(hidden.data()), pairs, 0,
                            pairs);
      parallel(kExperts * kH, [&](int64_t from, int64_t to) {
        l4j_moe_quant_down(table, address(hidden.data()), pairs, kH, address(batch.y), from, to);
      });
    });
  }
  free(memory);
}

int main(int count, char** arguments) {
  if (count > 1) threads = std::atoi(arguments[1]);
  if (l4j_moe_init(0) == 0) return 1;
  Batch batch;
  measure_bf16(batch);
  measure_quantized("int8/128", batch, 8, 128);
  measure_quantized("int4/128", batch, 4, 128);
  measure_quantized("int4/32", batch, 4, 32);
}

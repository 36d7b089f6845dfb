// How near the prefill kernels are to the peak of multiply-adds: 8 experts of H = 1024, I = 1792, top-2 of T random
// tokens, on T threads; the best of some rounds. Prints the largest error of some outputs against double too.
// From the folder moe:
//   g++ -std=c++17 -O3 -fno-math-errno -fno-trapping-math -w -Isrc/main/cpp -I../core/src/main/cpp
//       src/test/cpp/prefill_speed.cpp -o /tmp/prefill_speed -lpthread && /tmp/prefill_speed THREADS TOKENS
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>
#include <vector>

#include "moe.cpp"

constexpr int64_t kH = 1024, kI = 1792, kExperts = 8, kTop = 2, kWeights = 3 * kH * kI, kParts = 3;

static int threads = 2;

template <class Work>
static double seconds_of(Work work) {
  auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// part(from, to) over [0, n), cut into four ranges a thread as Threads does.
template <class Part>
static void parallel(int64_t n, Part part) {
  int64_t step = (n + threads * 2 - 1) / (threads * 2);
  auto run = [&](int t) {
    for (int i = t; i * step < n; i += threads) part(i * step, std::min(n, (i + 1) * step));
  };
  std::vector<std::thread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(run, t);
  run(0);
  for (auto& t : others) t.join();
}

static int64_t blocks(int64_t rows, int64_t each) { return (rows + each - 1) / each; }

static int64_t address(const void* p) { return reinterpret_cast<int64_t>(p); }

static double value_of(float x) { return x; }
static double value_of(uint16_t x) {
  uint32_t bits = static_cast<uint32_t>(x) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

template <class W>
static void measure(const char* name, int type, int64_t T) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  auto* weights = static_cast<W*>(aligned_alloc(64, kExperts * kWeights * sizeof(W)));
  for (int64_t i = 0; i < kExperts * kWeights; ++i) {
    float v = i < 100000 ? normal(random) / 32 : 0;
    if (i >= 100000) {
      weights[i] = weights[i % 99991];
    } else if constexpr (sizeof(W) == 4) {
      weights[i] = v;
    } else {
      std::memcpy(&weights[i], reinterpret_cast<char*>(&v) + 2, 2);
    }
  }
  std::vector<float> x(T * kH);
  for (float& v : x) v = normal(random);
  std::vector<std::vector<int32_t>> chosen(kExperts);
  for (int64_t t = 0; t < T; ++t) {
    int a = random() % kExperts, b = (a + 1 + random() % (kExperts - 1)) % kExperts;
    chosen[a].push_back(t * 2), chosen[b].push_back(t * 2 + 1);
  }
  std::vector<int32_t> pairs;
  std::vector<l4j::Expert> experts;
  int64_t P = l4j_moe_panel_tokens(), panels = 0;
  for (int64_t e = 0; e < kExperts; ++e) {
    const W* w = weights + e * kWeights;
    int64_t count = chosen[e].size();
    experts.push_back({w, kH, w + kH * kI, kH, w + 2 * kH * kI, kI, (int64_t)pairs.size(), count});
    pairs.insert(pairs.end(), chosen[e].begin(), chosen[e].end());
    panels += (count + P - 1) / P;
  }
  auto* packed = static_cast<float*>(aligned_alloc(64, panels * l4j_moe_panel_bytes(type, kParts, kH)));
  auto* hidden = static_cast<float*>(aligned_alloc(64, panels * l4j_moe_panel_bytes(type, kParts, kI)));
  std::vector<float> y(T * kTop * kH);
  double best[4] = {1e9, 1e9, 1e9, 1e9};
  int64_t table = address(experts.data());
  for (int round = 0; round < 7; ++round) {
    double a = seconds_of([&] {
      parallel(panels, [&](int64_t from, int64_t to) {
        l4j_moe_pack_panels(type, kParts, table, kExperts, address(x.data()), kH, address(pairs.data()), kTop, kH,
                            address(packed), from, to);
      });
    });
    double b = seconds_of([&] {
      parallel(panels * blocks(kI, l4j_moe_gate_up_rows(type)), [&](int64_t from, int64_t to) {
        l4j_moe_prefill_gate_up(type, kParts, table, kExperts, address(packed), kH, kI, address(hidden), from, to);
      });
    });
    double c = seconds_of([&] {
      parallel(panels * blocks(kH, l4j_moe_down_rows(type)), [&](int64_t from, int64_t to) {
        l4j_moe_prefill_down(type, kParts, table, kExperts, address(hidden), kH, kI, address(y.data()), from, to);
      });
    });
    double all[4] = {a + b + c, a, b, c};
    for (int i = 0; i < 4; ++i) best[i] = std::min(best[i], all[i]);
  }
  double worst = 0;
  for (int64_t s = 0; s < 8; ++s) {
    int64_t position = s * (T * kTop - 1) / 7, e = 0;
    while (experts[e].first + experts[e].count <= position) ++e;
    const W* w = weights + e * kWeights;
    const float* row = x.data() + pairs[position] / kTop * kH;
    std::vector<double> h(kI);
    for (int64_t i = 0; i < kI; ++i) {
      double g = 0, u = 0;
      for (int64_t k = 0; k < kH; ++k) {
        g += value_of(w[i * kH + k]) * row[k], u += value_of(w[kH * kI + i * kH + k]) * row[k];
      }
      h[i] = g / (1 + std::exp(-g)) * u;
    }
    for (int64_t o : {int64_t(0), kH / 2 + 1, kH - 1}) {
      double sum = 0;
      for (int64_t i = 0; i < kI; ++i) sum += value_of(w[2 * kH * kI + o * kI + i]) * h[i];
      worst = std::max(worst, std::abs(sum - y[position * kH + o]));
    }
  }
  double gate = 4e-9 * T * kTop * kH * kI;
  printf("%s %d threads %5ld tokens: %7.2f ms, %5.1f GFLOP/s", name, threads, T, best[0] * 1e3, 1.5 * gate / best[0]);
  printf(" (pack %.2f ms, gate-up %5.1f, down %5.1f GFLOP/s), error %.1e\n", best[1] * 1e3, gate / best[2],
         gate / 2 / best[3], worst);
  free(weights), free(packed), free(hidden);
}

int main(int count, char** arguments) {
  if (l4j_moe_init(0) == 0) return 1;
  threads = count > 1 ? std::atoi(arguments[1]) : 2;
  int64_t tokens = count > 2 ? std::atoi(arguments[2]) : 512;
  measure<float>("f32 ", l4j::kF32, tokens);
  measure<uint16_t>("bf16", l4j::kBF16, tokens);
}

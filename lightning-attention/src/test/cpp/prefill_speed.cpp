// How fast prefill runs on bf16 heads with each instruction set of this machine, on one thread, by the CPU time of that
// thread, and how far the outputs are from those of AVX2:
//
//   g++ -std=c++17 -O3 -march=x86-64 -fno-math-errno -fno-trapping-math -w -Icore/src/main/cpp
//       -Ilightning-attention/src/main/cpp lightning-attention/src/test/cpp/prefill_speed.cpp -o /tmp/prefill_speed
//       && /tmp/prefill_speed
//
// With -DL4J_EMULATED -Icore/src/test/cpp it runs anywhere under LIGHTNING4J_EMULATED_ISA=4; of those
// results only the errors mean something.
#include <cstdio>
#include <ctime>
#include <random>
#include <vector>

#include "lightning_attention.cpp"

static double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

// One head of T tokens and D channels from no state.
struct Head {
  int64_t T, D;
  std::vector<uint16_t> q, k, v;
  std::vector<float> out;
  double log_decay = -0.01;

  Head(int64_t T, int64_t D) : T(T), D(D), q(T * D), k(T * D), v(T * D), out(T * D) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (auto* x : {&q, &k, &v}) {
      for (auto& bits : *x) bits = l4j::avx2::to_bf16(normal(random)).bits;
    }
  }
  // Seconds, the best of so many runs.
  double run(bool silu, int runs) {
    auto operand = [&](void* at, int64_t type) { return l4j::Operand{(int64_t)at, T * D, D, D, type}; };
    l4j::PrefillCall call{operand(q.data(), l4j::kBF16), operand(k.data(), l4j::kBF16), operand(v.data(), l4j::kBF16),
                          operand(out.data(), l4j::kF32)};
    call.log_decay = (int64_t)&log_decay;
    call.scale = 1;
    call.silu = silu;
    call.heads = call.slices = call.sequences = 1;
    call.dk = call.dv = D;
    call.segment = 2048;
    l4j::Sequence sequence{0, 0, T, -1, -1, T + 1, -1};
    double best = 1e9;
    for (int i = 0; i < runs; ++i) {
      double start = thread_seconds();
      if (!l4j_lightning_prefill((int64_t*)&call, (int64_t*)&sequence, 0, 1)) std::abort();
      best = std::min(best, thread_seconds() - start);
    }
    return best;
  }
};

int main(int count, char** arguments) {
  int runs = count > 1 ? atoi(arguments[1]) : 100;
  const char* names[] = {"", "avx2", "avx512", "amx"};
  int best = l4j_attention_init(0);
  for (int64_t D : {64, 128}) {
    for (bool silu : {false, true}) {
      Head head(2048, D);
      std::vector<float> expected;
      for (int isa = 1; isa <= best; ++isa) {
        l4j_attention_init(isa);
        double seconds = head.run(silu, runs);
        if (isa == 1) expected = head.out;
        double error = 0, square = 0;
        for (size_t i = 0; i < expected.size(); ++i) {
          error += std::pow(head.out[i] - expected[i], 2);
          square += std::pow(expected[i], 2);
        }
        printf("D %3ld %-4s %-6s %8.3f us a token %8.1f GFLOP/s   relative error %.1e\n", (long)D, silu ? "silu" : "",
               names[isa], seconds / head.T * 1e6, (4 * D * D + 65 * 2 * D) * head.T / seconds / 1e9,
               std::sqrt(error / square));
      }
    }
  }
}

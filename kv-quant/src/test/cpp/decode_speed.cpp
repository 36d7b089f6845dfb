// Attention of one token over a cache of 32768 by format: 8 kv heads, 32 query heads of 128 channels, or of as many as
// told. Caches are cycled so that the last-level cache holds none of them. Prints milliseconds a call and bytes a token.
//
//   g++ -std=c++17 -O3 -fno-math-errno -fno-trapping-math -pthread -Icore/src/main/cpp -Ikv-quant/src/main/cpp
//       kv-quant/src/test/cpp/decode_speed.cpp -o decode_speed && ./decode_speed [threads [channels]]
#include <chrono>
#include <cstdio>
#include <numeric>
#include <random>
#include <thread>

#include "kv_quant.cpp"

using namespace l4j;

namespace {

constexpr int64_t kTokens = 32768, kHeads = 8, kGroup = 4, kPages = kTokens / 64, kPool = 200 << 20;
int64_t kDim = 128;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Format {
  const char* name;
  kv::Transform transform;
  kv::Codec codec;
  bool exact;
};

// One cache: 4 pages of tokens that were really stored, repeated.
struct Filled {
  std::vector<int64_t> pages;
  int64_t page_bytes = 0;

  Filled(const kv::Cache& like, bool exact, std::mt19937& random) {
    std::normal_distribution<float> normal;
    int64_t exact_bytes = kHeads * 2 * 64 * kDim * 2;
    page_bytes = exact ? exact_bytes : like.value.offset + kHeads * like.value.unit_bytes();
    std::vector<float> k(64 * kHeads * kDim), v(k.size());
    for (int64_t p = 0; p < kPages; ++p) {
      void* page = std::aligned_alloc(64, page_bytes);
      std::memset(page, 0, page_bytes);
      pages.push_back(reinterpret_cast<int64_t>(page));
      if (p >= 4) {
        std::memcpy(page, reinterpret_cast<void*>(pages[p & 3]), page_bytes);
        continue;
      }
      for (auto& x : k) x = normal(random);
      for (auto& x : v) x = normal(random);
      std::vector<uint16_t> staging(exact_bytes / 2);
      int64_t from = exact ? pages[p] : reinterpret_cast<int64_t>(staging.data());
      kv::Cache one = like;
      one.exact.table = &from;
      one.packed = &pages[p];
      int64_t at = reinterpret_cast<int64_t>(&one), key = reinterpret_cast<int64_t>(k.data());
      l4j_kv_append(at, key, kHeads * kDim, kDim, reinterpret_cast<int64_t>(v.data()), kHeads * kDim, kDim, 0, 0, 64);
      if (!exact) l4j_kv_age(at, 0, 64);
    }
  }
};

template <class Work>
void split(int threads, int64_t n, Work work) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([=] { work(n * i / threads, n * (i + 1) / threads); });
  work(0, n / threads);
  for (auto& other : others) other.join();
}

void measure(const Format& format, int threads) {
  std::mt19937 random(1);
  const int64_t half = kDim / 2, bits = 2 * half * 64, waves = bits + 2 * kv::Rope::kBits * half;
  std::vector<float> q(kHeads * kGroup * kDim), out(q.size()), rope(waves + half);
  std::normal_distribution<float> normal;
  for (auto& x : q) x = normal(random);
  for (int64_t j = 0; j < half; ++j) {
    double w = std::pow(1e4, -j / static_cast<double>(half));
    rope[waves + j] = w;
    for (int64_t t = 0; t < 64; ++t) {
      rope[j * 64 + t] = std::cos(t * w);
      rope[(half + j) * 64 + t] = std::sin(t * w);
    }
    for (int bit = 0; bit < kv::Rope::kBits; ++bit) {
      rope[bits + 2 * bit * half + j] = std::cos(std::ldexp(w, bit));
      rope[bits + 2 * bit * half + half + j] = std::sin(std::ldexp(w, bit));
    }
  }
  std::vector<int32_t> order(kHeads * kDim);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  std::vector<float> mean(kHeads * kDim, 0.5f);

  kv::AttentionCall call{};
  kv::Cache& cache = call.cache;
  cache.exact = {nullptr, kHeads, kDim, kv::kPageTokens};
  cache.type = kBF16;
  cache.head_dim = kDim;
  cache.length = kTokens;
  cache.flush = 1;
  cache.window = format.exact ? INT64_MAX / 4 : 0;
  cache.transform = format.transform;
  cache.rotation = 4 * kDim;
  cache.order = order.data();
  cache.rope = {rope.data(), half};
  cache.mean = format.transform == kv::kCenteredHadamard ? mean.data() : nullptr;
  cache.key = cache.value = format.codec;
  if (format.transform == kv::kGrouped) cache.key.unit = kHeads * kDim;
  cache.value.offset = cache.key.unit_bytes() * (format.transform == kv::kGrouped ? 1 : kHeads);
  call.queries = 1;
  call.group = kGroup;
  call.q = {q.data(), kHeads * kGroup * kDim, kDim};
  call.out = {out.data(), kHeads * kGroup * kDim, kDim};
  call.scale = 0.088;

  std::vector<Filled> caches;
  do {
    caches.emplace_back(cache, format.exact, random);
  } while (static_cast<int64_t>(caches.size()) * caches[0].page_bytes * kPages < kPool);
  cache.packed_end = cache.exact_start = format.exact ? 0 : kTokens;
  std::vector<float> partials(kHeads * call.ranges() * call.partial());
  int64_t at = reinterpret_cast<int64_t>(&call), scratch = reinterpret_cast<int64_t>(partials.data());
  double best = 1e9;
  for (int i = 0; i < 12; ++i) {
    cache.exact.table = cache.packed = caches[i % caches.size()].pages.data();
    double start = now();
    if (format.transform == kv::kGrouped) {
      split(threads, call.ranges(), [=](int64_t from, int64_t to) { l4j_kv_attend_grouped(at, scratch, 0, 1, from, to); });
      l4j_kv_merge_grouped(at, scratch, 0, 1, 0, kHeads);
    } else {
      split(threads, kHeads, [=](int64_t from, int64_t to) { l4j_kv_attend_tiles(at, from, to); });
    }
    if (i >= 2) best = std::min(best, now() - start);
  }
  std::printf("%-14s %d threads %7.2f ms %8.1f bytes a token\n", format.name, threads, best * 1e3,
              caches[0].page_bytes / 64.0);
  for (auto& filled : caches) {
    for (int64_t page : filled.pages) std::free(reinterpret_cast<void*>(page));
  }
}

}  // namespace

int main(int count, char** arguments) {
  int threads = count > 1 ? std::atoi(arguments[1]) : 2;
  if (count > 2) kDim = std::atoi(arguments[2]);
  l4j_kv_init(0);
  kv::Codec grid{2, 128, kDim, 0, kv::kLog8, kv::kLloydMax, kv::kPaper, 1};
  kv::Codec affine{2, 128, kDim, 0, kv::kLog8, kv::kInteger, kv::kPaper, 0.8};
  kv::Codec bytes{8, 128, kDim, 0, kv::kFp16, kv::kFloat, kv::kPaper, 1};
  for (int round = 0; round < 2; ++round) {
    measure({"bf16", kv::kPlain, grid, true}, threads);
    measure({"int8", kv::kPlain, bytes, false}, threads);
    measure({"rotatekv-2", kv::kGrouped, affine, false}, threads);
    measure({"kv2", kv::kHadamard, grid, false}, threads);
    measure({"kv2, centred", kv::kCenteredHadamard, grid, false}, threads);
  }
}

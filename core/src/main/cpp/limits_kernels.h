// Loops that do nothing but what a machine's limits are named after, so that kernels can be held against them:
// fp32 multiply-adds in registers, reading memory, copying memory. The empty asm statements keep the compiler
// from dropping sums that nobody uses and from seeing that they are equal.

#ifdef L4J_HALVES  // no register holds such a vector
#define L4J_IN_USE(v) asm volatile("" : "+m"(v))
#else
#define L4J_IN_USE(v) asm volatile("" : "+x"(v))
#endif

// Sums that do not wait for one another: two multiply-adds a cycle of latency 4 or 5 need 10.
constexpr int kChains = 12;

// sum = sum x + y, on values that converge to 2. Returns the operations done: a multiply-add counts as two.
static int64_t fma_chains(int64_t rounds) {
  vf x = splat(0.5f), y = splat(1.0f), sums[1][kChains];
  clear(sums);
  L4J_IN_USE(x);
  L4J_IN_USE(y);
  for (vf& sum : sums[0]) L4J_IN_USE(sum);
  for (int64_t i = 0; i < rounds; ++i) {
    for (vf& sum : sums[0]) sum = sum * x + y;
  }
  for (vf& sum : sums[0]) L4J_IN_USE(sum);
  return rounds * kChains * kWidth * 2;
}

// n is a multiple of 8 vectors, in floats. Integer sums: no value makes them slow.
static void read_memory(const float* p, int64_t n) {
  vi sums[8] = {};
  for (int64_t i = 0; i < n; i += 8 * kWidth) {
    for (int c = 0; c < 8; ++c) sums[c] ^= (vi)load(p + i + c * kWidth);
  }
  for (vi& sum : sums) L4J_IN_USE(sum);
}

// Stores that bypass the caches, so that a byte copied is one read and one write of memory. `to` is aligned to
// a vector, n a multiple of one.
static void copy_memory(const float* from, float* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kWidth) {
#if L4J_WIDTH == 16
    _mm512_stream_ps(to + i, (__m512)load(from + i));
#else
    _mm256_stream_ps(to + i, (__m256)load(from + i));
#endif
  }
  _mm_sfence();
}
#undef L4J_IN_USE

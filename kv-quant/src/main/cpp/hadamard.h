// Had(n) x in place: Walsh-Hadamard over the root of n, n a power of two from 8. fp32 sums in the order of the
// butterflies with strides 1, 2, 4, ...; one multiplication at the end.

static inline __m256 butterflies_within(__m256 x) {
  const __m256 one = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
  const __m256 two = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
  const __m256 four = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
  x = _mm256_fmadd_ps(x, one, _mm256_permute_ps(x, 0xb1));
  x = _mm256_fmadd_ps(x, two, _mm256_permute_ps(x, 0x4e));
  return _mm256_fmadd_ps(x, four, _mm256_permute2f128_ps(x, x, 1));
}

static inline void hadamard(float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 8) _mm256_storeu_ps(x + i, butterflies_within(_mm256_loadu_ps(x + i)));
  for (int64_t stride = 8; stride < n; stride *= 2) {
    for (int64_t i = 0; i < n; i += 2 * stride) {
      for (int64_t j = i; j < i + stride; j += 8) {
        __m256 a = _mm256_loadu_ps(x + j), b = _mm256_loadu_ps(x + j + stride);
        _mm256_storeu_ps(x + j, _mm256_add_ps(a, b));
        _mm256_storeu_ps(x + j + stride, _mm256_sub_ps(a, b));
      }
    }
  }
  __m256 by = _mm256_set1_ps(static_cast<float>(1 / std::sqrt(static_cast<double>(n))));
  for (int64_t i = 0; i < n; i += 8) _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), by));
}

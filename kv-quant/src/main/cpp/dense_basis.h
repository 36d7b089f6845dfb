// Rows in a dense basis: y[r][i] = sum_j m[j][i] x[r][j], the matrix column by column, dim a multiple of 8.
//
// Sums are fused multiply-adds in the order of j for every vector width and number of rows. Four rows share one
// reading of the matrix (64 KiB for 128 channels, from the second-level cache): 16 multiply-adds for 6 loads.

template <int Rows, int Vectors>
static inline void dense_columns(const float* m, int64_t dim, const float* x, int64_t x_row, float* y, int64_t y_row) {
  __m256 acc[Rows][Vectors];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < Vectors; ++c) acc[r][c] = _mm256_setzero_ps();
  }
  for (int64_t j = 0; j < dim; ++j) {
#pragma GCC unroll 8
    for (int c = 0; c < Vectors; ++c) {
      __m256 column = _mm256_loadu_ps(m + j * dim + 8 * c);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) acc[r][c] = _mm256_fmadd_ps(column, _mm256_set1_ps(x[r * x_row + j]), acc[r][c]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < Vectors; ++c) _mm256_storeu_ps(y + r * y_row + 8 * c, acc[r][c]);
  }
}

template <int Rows, int Vectors>
static inline void dense_rows(const float* m, int64_t dim, const float* x, int64_t x_row, float* y, int64_t y_row) {
  int64_t i = 0;
  for (; i + 8 * Vectors <= dim; i += 8 * Vectors) dense_columns<Rows, Vectors>(m + i, dim, x, x_row, y + i, y_row);
  for (; i < dim; i += 8) dense_columns<Rows, 1>(m + i, dim, x, x_row, y + i, y_row);
}

// y apart from x.
static void in_dense_basis(const float* m, int64_t dim, const float* x, int64_t x_row, int64_t rows, float* y,
                           int64_t y_row) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) dense_rows<4, 2>(m, dim, x + r * x_row, x_row, y + r * y_row, y_row);
  for (; r < rows; ++r) dense_rows<1, 8>(m, dim, x + r * x_row, x_row, y + r * y_row, y_row);
}

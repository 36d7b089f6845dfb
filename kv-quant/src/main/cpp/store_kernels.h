// Tokens into pages and out again. In: F32 rows, rounded to nearest even into the page's type; NaN stays NaN,
// what F16 cannot hold becomes infinite. Out: widened, exactly. One pass over the elements: the floor is
// memory. Padding is zero from the page's birth and is never written.

static inline void narrow(float x, float* to) { *to = x; }
static inline void narrow(float x, bf16* to) { *to = to_bf16(x); }
static inline void narrow(float x, f16* to) { *to = to_f16(x); }

template <class E>
static void append_typed(const kv::Pages& pages, int64_t dim, const kv::Tokens& k, const kv::Tokens& v,
                         int64_t first, int64_t from, int64_t to) {
  for (int64_t t = from; t < to; ++t) {
    int64_t page = (first + t) / kv::kPageTokens;
    int64_t at = (first + t) % kv::kPageTokens * pages.row;
    for (int64_t h = 0; h < pages.heads; ++h) {
      E* keys = pages.keys<E>(page, h) + at;
      E* values = pages.values<E>(page, h) + at;
      const float* kt = k.at(t, h);
      const float* vt = v.at(t, h);
      for (int64_t i = 0; i < dim; ++i) narrow(kt[i], keys + i);
      for (int64_t i = 0; i < dim; ++i) narrow(vt[i], values + i);
    }
  }
}

template <class E>
static void read_typed(const kv::Pages& pages, int64_t dim, const kv::Tokens& k, const kv::Tokens& v,
                       int64_t from, int64_t to) {
  for (int64_t t = from; t < to; ++t) {
    int64_t page = t / kv::kPageTokens;
    int64_t at = t % kv::kPageTokens * pages.row;
    for (int64_t h = 0; h < pages.heads; ++h) {
      const E* keys = pages.keys<E>(page, h) + at;
      const E* values = pages.values<E>(page, h) + at;
      float* kt = k.at(t, h);
      float* vt = v.at(t, h);
      for (int64_t i = 0; i < dim; ++i) kt[i] = value(keys[i]);
      for (int64_t i = 0; i < dim; ++i) vt[i] = value(values[i]);
    }
  }
}

// Positions first + [from, to) = tokens [from, to) of k and v.
static void append(int type, const kv::Pages& pages, int64_t dim, const kv::Tokens& k, const kv::Tokens& v,
                   int64_t first, int64_t from, int64_t to) {
  switch (type) {
    case kF32:
      return append_typed<float>(pages, dim, k, v, first, from, to);
    case kBF16:
      return append_typed<bf16>(pages, dim, k, v, first, from, to);
    case kF16:
      return append_typed<f16>(pages, dim, k, v, first, from, to);
  }
}

// Tokens [from, to) of k and v = positions [from, to).
static void read(int type, const kv::Pages& pages, int64_t dim, const kv::Tokens& k, const kv::Tokens& v,
                 int64_t from, int64_t to) {
  switch (type) {
    case kF32:
      return read_typed<float>(pages, dim, k, v, from, to);
    case kBF16:
      return read_typed<bf16>(pages, dim, k, v, from, to);
    case kF16:
      return read_typed<f16>(pages, dim, k, v, from, to);
  }
}

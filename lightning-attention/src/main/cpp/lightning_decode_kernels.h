// Lightning attention, one token: a single pass over the state of a head, rows of it in groups of four:
//
//   S_i = lambda S_i + k_i v ;  o += q_i S_i
//
// 8 Dk Dv bytes for 5 Dk Dv operations: bound by memory.

// How far ahead of the rows under way the state is fetched, in bytes. A pool is walked in order, but in four rows at
// once, which the hardware does not foresee; lines are fetched one behind the other, which it does.
constexpr int64_t kAhead = 2048;

// R rows of the state from row d on; o has room for whole vectors.
template <int R>
static inline void decode_rows(const float* q, const float* k, const float* v, Factor decay, float* state, float* o,
                               int64_t Dv) {
  const vf high = splat(decay.high), low = splat(decay.low);
  vf query[R], key[R];
  for (int r = 0; r < R; ++r) {
    query[r] = splat(q[r]);
    key[r] = splat(k[r]);
  }
  int64_t e = 0;
  for (; e + kWidth <= Dv; e += kWidth) {
    vf value = load(v + e), sum = load(o + e);
    for (int r = 0; r < R; ++r) {
      float* at = state + r * Dv + e;
      if (e % 16 == 0) __builtin_prefetch(reinterpret_cast<const char*>(state + R * e + 16 * r) + kAhead, 1);
      vf old = load(at);
      vf now = old * high + (old * low + key[r] * value);
      store(at, now);
      sum += query[r] * now;
    }
    store(o + e, sum);
  }
  for (; e < Dv; ++e) {
    for (int r = 0; r < R; ++r) {
      float* at = state + r * Dv + e;
      *at = *at * decay.high + (*at * decay.low + k[r] * v[e]);
      o[e] += q[r] * *at;
    }
  }
}

// Scratch memory: q, k [padded Dk], v, o [padded Dv].
static void decode_head(const DecodeCall& c, int64_t row, int64_t head, float* state, float* memory) {
  int64_t dk = padded(c.dk), dv = padded(c.dv);
  float *q = memory, *k = q + dk, *v = k + dk, *o = v + dv;
  Reading as_is{c.silu != 0, 1}, as_query{c.silu != 0, static_cast<float>(c.scale)};
  load_rows(Rows(c.q, row, 0, head), 0, 1, c.dk, as_query, q);
  load_rows(Rows(c.k, row, 0, head), 0, 1, c.dk, as_is, k);
  load_rows(Rows(c.v, row, 0, head), 0, 1, c.dv, as_is, v);
  std::memset(o, 0, dv * 4);
  Factor decay(reinterpret_cast<const double*>(c.log_decay)[head], 1);
  int64_t d = 0;
  for (; d + 4 <= c.dk; d += 4) decode_rows<4>(q + d, k + d, v, decay, state + d * c.dv, o, c.dv);
  for (; d < c.dk; ++d) decode_rows<1>(q + d, k + d, v, decay, state + d * c.dv, o, c.dv);
  store_rows(o, Rows(c.out, row, 0, head), 0, 1, c.dv);
}

// Units [from, to) of rows x heads; a row without a slot (-1) gets zeros. Returns whether there was scratch memory.
static bool decode(const DecodeCall& c, int64_t from, int64_t to) {
  float* memory = Scratch::of_thread().floats(2 * (padded(c.dk) + padded(c.dv)));
  if (memory == nullptr) return false;
  for (int64_t unit = from; unit < to; ++unit) {
    int64_t row = unit / c.heads, head = unit % c.heads;
    int64_t slot = reinterpret_cast<const int32_t*>(c.slots)[row];
    if (slot < 0) {
      Rows out(c.out, row, 0, head);
      std::memset(out.at, 0, c.dv * out.bytes());
    } else {
      float* state = reinterpret_cast<float*>(c.pool) + (slot * c.heads + head) * c.dk * c.dv;
      decode_head(c, row, head, state, memory);
    }
  }
  return true;
}

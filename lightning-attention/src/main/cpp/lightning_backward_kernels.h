// The two scans of lightning attention's backward pass; the formulas stand in backward_chunk.h.

// What the forward scan reads and writes from token t on.
static inline Ahead scan_ahead(const BackwardHead& h, int64_t t, bool gradients) {
  int64_t m = std::min(kChunk, h.T - t);
  Ahead ahead;
  ahead.add(h.k, t, m, h.Dk);
  ahead.add(h.v, t, m, h.Dv);
  if (!gradients) return ahead;
  ahead.add(h.g, t, m, h.Dv);
  if (h.grad_log != nullptr || h.as_query.with_silu) ahead.add(h.q, t, m, h.Dk);
  ahead.add(h.dq, t, m, h.Dk);
  return ahead;
}

// What the backward scan reads and writes for the m tokens before token t.
static inline Ahead adjoints_ahead(const BackwardHead& h, int64_t t) {
  int64_t m = std::min(kChunk, t);
  Ahead ahead;
  ahead.add(h.q, t - m, m, h.Dk);
  ahead.add(h.g, t - m, m, h.Dv);
  if (!h.with_dkv) return ahead;
  ahead.add(h.k, t - m, m, h.Dk);
  ahead.add(h.v, t - m, m, h.Dv);
  ahead.add(h.dk, t - m, m, h.Dk);
  ahead.add(h.dv, t - m, m, h.Dv);
  return ahead;
}

// The forward scan of a segment: dQ if `gradients`, and into `kept`, if given, S^T [Dv][dk] before each chunk.
static double scan_states(const BackwardHead& h, const BackwardChunk& x, const Powers& powers, Carried& s,
                          int64_t segment, bool gradients, float* kept) {
  double lag = 0;
  int64_t size = h.Dv * x.dk, from = segment * h.segment, to = std::min(from + h.segment, h.T);
  for (int64_t t = from; t < to; t += kChunk) {
    int64_t m = std::min(kChunk, to - t);
    const float* before = s.sum(t == from);
    Ahead ahead = scan_ahead(h, t + m, gradients);
    if (kept != nullptr) {
      float* at = kept + (t - from) / kChunk * size;
      before == nullptr ? std::memset(at, 0, size * 4) : std::memcpy(at, before, size * 4);
    }
    load_rows(h.k, t, m, h.Dk, h.as_is, x.k);
    load_rows(h.v, t, m, h.Dv, h.as_is, x.v);
    if (gradients) {
      if (h.grad_log != nullptr) load_rows(h.q, t, m, h.Dk, h.as_query, x.q);
      load_rows(h.g, t, m, h.Dv, Reading{false, 1}, x.g);
      transpose(x.v, m, h.Dv, x.dv, x.vt, kTokens);
      lower_product(ahead, x.g, x.dv, x.vt, h.Dv, m, x.dp);
      decay_lower(x.dp, m, powers);
      lag += query_gradients(ahead, h, x, before, m, powers);
      finish_rows(x.result, x.dk, h.q, h.dq, t, m, h.Dk, h.as_query);
    }
    // The keys are scaled, as in the forward pass: the states are the same bits.
    scale_rows(x.k, m, h.Dk, powers.up + m - 1, -1);
    advance(ahead, s, h.Dv, padded(h.Dk), h.log_decay, t == from, t + m - from, x.v, x.dv, x.k, x.dk, m);
  }
  s.enter_next();
  return lag;
}

// The backward scan of a segment: dK, dV and the adjoint of the state before it; `kept` as in scan_states.
static double scan_adjoints(const BackwardHead& h, const BackwardChunk& x, const Powers& powers, Carried& r,
                            int64_t segment, const float* kept) {
  double lag = 0;
  int64_t from = segment * h.segment, to = std::min(from + h.segment, h.T);
  for (int64_t c = (to - from - 1) / kChunk; c >= 0; --c) {
    int64_t t = from + c * kChunk, m = std::min(kChunk, to - t);
    bool first = t + m == to;
    Ahead ahead = adjoints_ahead(h, t);
    load_rows(h.q, t, m, h.Dk, h.as_query, x.q);
    load_rows(h.g, t, m, h.Dv, Reading{false, 1}, x.g);
    const float* state = kept == nullptr ? nullptr : kept + c * h.Dv * x.dk;
    if (h.with_dkv) lag += key_value_gradients(ahead, h, x, powers, r.sum(first), state, t, m);
    scale_rows(x.q, m, h.Dk, powers.up + 1, 1);
    advance(ahead, r, h.Dk, padded(h.Dv), h.log_decay, first, to - t, x.q, x.dk, x.g, x.dv, m);
  }
  r.enter_next();
  return lag;
}

// What the gradient of log lambda needs to remember: the lag of the forward scan and the entering state of each
// segment, and the states of the chunks of one segment.
class Memories {
 public:
  // Returns whether there was memory.
  bool open(const BackwardHead& h, int64_t dk) {
    state_ = h.Dv * dk;
    chunks_kept_ = (std::min(h.segment, h.T) + kChunk - 1) / kChunk;
    int64_t n = h.segments(), lags = (2 * n + 15) / 16 * 16;
    float* at = scratch_.floats(lags + (n + chunks_kept_ + 3) * state_);
    if (at == nullptr) return false;
    lags_ = reinterpret_cast<double*>(at);
    entering_ = at + lags;
    chunks_ = entering_ + n * state_;
    return true;
  }
  double& lag(int64_t segment) { return lags_[segment]; }
  float* chunks() { return chunks_; }
  void remember(int64_t segment, const float* state) {
    float* to = entering_ + segment * state_;
    state == nullptr ? std::memset(to, 0, state_ * 4) : std::memcpy(to, state, state_ * 4);
  }
  float* recalled(int64_t segment) { return entering_ + segment * state_; }
  // Room for states to work on.
  float* spare(int i) { return chunks_ + (chunks_kept_ + i) * state_; }

 private:
  Scratch scratch_;
  int64_t state_ = 0, chunks_kept_ = 0;
  double* lags_ = nullptr;
  float *entering_ = nullptr, *chunks_ = nullptr;
};

// The forward scan of all segments.
static void all_states(const BackwardHead& h, const BackwardChunk& x, const Powers& powers, Memories* memories) {
  Carried s = x.carried(x.dk);
  if (h.initial != nullptr) {
    load_state(h.initial, h.Dv, h.Dk, h.Dv, s.local);
    transpose(s.local, h.Dk, h.Dv, x.dv, s.spare, x.dk);
    s.base = s.spare;
  }
  for (int64_t i = 0; i < h.segments(); ++i) {
    float* kept = memories != nullptr && h.segments() == 1 ? memories->chunks() : nullptr;
    if (memories != nullptr) memories->remember(i, s.base);
    double lag = scan_states(h, x, powers, s, i, true, kept);
    if (memories != nullptr) memories->lag(i) = lag;
  }
}

// The states of the chunks of a segment, computed once more.
static float* states_again(const BackwardHead& h, const BackwardChunk& x, const Powers& powers, int64_t segment,
                           Memories& memories) {
  if (h.segments() > 1) {
    float* base = memories.recalled(segment);
    Carried s{memories.spare(0), memories.spare(1), memories.spare(2), base, x.dk};
    scan_states(h, x, powers, s, segment, false, memories.chunks());
  }
  return memories.chunks();
}

// Both scans of a head; returns whether there was scratch memory.
static bool backward_head(const BackwardHead& h, const BackwardChunk& x) {
  Powers powers(h.log_decay, std::min(h.T, kChunk));
  Memories memories;
  bool wants_log = h.grad_log != nullptr;
  if (wants_log && !memories.open(h, x.dk)) return false;
  if (h.with_dq) all_states(h, x, powers, wants_log ? &memories : nullptr);
  Carried r = x.carried(x.dv);
  if (h.grad_final != nullptr) {
    load_state(h.grad_final, h.Dv, h.Dk, h.Dv, r.spare);
    r.base = r.spare;
  }
  double total = 0;
  bool with_adjoints = h.with_dkv || h.grad_initial != nullptr;
  for (int64_t i = h.segments() - 1; i >= 0 && with_adjoints; --i) {
    float* kept = wants_log ? states_again(h, x, powers, i, memories) : nullptr;
    double lag = scan_adjoints(h, x, powers, r, i, kept);
    if (wants_log) total += memories.lag(i) + lag;
  }
  if (wants_log) *h.grad_log = total;
  if (h.grad_initial != nullptr) store_or_clear(r.base, h.grad_initial, h.Dv, h.Dk, h.Dv);
  return true;
}

// Units [from, to) of heads x sequences; returns whether there was scratch memory.
static bool backward(const BackwardCall& c, const Sequence* sequences, int64_t from, int64_t to) {
  float* memory = Scratch::of_thread().floats(BackwardChunk::floats(c.dk, c.dv));
  if (memory == nullptr) return false;
  for (int64_t unit = from; unit < to; ++unit) {
    int64_t sequence = unit % c.sequences, head = unit / c.sequences;
    const Sequence& s = sequences[sequence];
    auto rows = [&](const Operand& x) { return Rows(x, s.batch, s.first, head); };
    auto state = [&](int64_t pool, int64_t entry) -> float* {
      if (pool == 0 || entry < 0) return nullptr;
      return reinterpret_cast<float*>(pool) + (entry * c.heads + head) * c.dk * c.dv;
    };
    double* log = reinterpret_cast<double*>(c.grad_log);
    BackwardHead h{rows(c.q),
                   rows(c.k),
                   rows(c.v),
                   rows(c.grad_out),
                   rows(c.grad_q),
                   rows(c.grad_k),
                   rows(c.grad_v),
                   c.grad_q.address != 0,
                   c.grad_k.address != 0,
                   reinterpret_cast<const double*>(c.log_decay)[head],
                   Reading{c.silu != 0, static_cast<float>(c.scale)},
                   Reading{c.silu != 0, 1},
                   s.tokens,
                   c.dk,
                   c.dv,
                   c.segment,
                   state(c.initial, s.initial),
                   state(c.grad_final, s.final),
                   state(c.grad_initial, s.initial),
                   log == nullptr ? nullptr : log + sequence * c.heads + head};
    if (!backward_head(h, BackwardChunk(memory, c.dk, c.dv))) return false;
  }
  return true;
}

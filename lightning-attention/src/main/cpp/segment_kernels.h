// The exchange between segments of a sequence (LASP+): from the state that each segment makes on its own, the one
// that enters it.
//
//   P_0 = initial ;  P_(r+1) = lambda^(tokens of r) P_r + L_r
//
// One multiply-add for each element of each segment: bound by memory, 8 bytes an operation. For adjoints the
// segments are walked from the last to the first. L, P [segments, heads of all rows, size].

// Heads [from, to); initial and last may be null, `step` is 1 or -1.
static void combine(const CombineCall& c, int64_t from, int64_t to) {
  const auto* local = reinterpret_cast<const float*>(c.local);
  auto* entering = reinterpret_cast<float*>(c.entering);
  const auto* tokens = reinterpret_cast<const int64_t*>(c.tokens);
  for (int64_t unit = from; unit < to; ++unit) {
    double log_decay = reinterpret_cast<const double*>(c.log_decay)[unit % c.heads];
    const float* before = c.initial == 0 ? nullptr : reinterpret_cast<const float*>(c.initial) + unit * c.size;
    for (int64_t i = 0; i <= c.segments; ++i) {
      bool last = i == c.segments;
      if (last && c.last == 0) break;
      int64_t segment = c.step > 0 ? i : c.segments - 1 - i;
      float* to_state = last ? reinterpret_cast<float*>(c.last) + unit * c.size
                             : entering + (segment * c.units + unit) * c.size;
      if (i == 0) {
        before == nullptr ? std::memset(to_state, 0, c.size * 4) : std::memcpy(to_state, before, c.size * 4);
      } else {
        int64_t previous = segment - c.step;
        const float* made = local + (previous * c.units + unit) * c.size;
        float fade = static_cast<float>(std::exp(log_decay * tokens[previous]));
        for (int64_t e = 0; e < c.size; e += kWidth) {
          vf now = load_next(made + e, c.size - e);
          store_next(to_state + e, now + load_next(before + e, c.size - e) * fade, c.size - e);
        }
      }
      before = to_state;
    }
  }
}

// Top-k routing of T tokens over E experts. fp32.
//
// The k largest keys of a row are kept sorted by insertion while the row is read once; a later expert must be
// strictly larger to go ahead of an earlier one, so ties go to the lowest index. Without a bias the keys are the
// logits themselves, of which softmax and sigmoid are monotone functions; with one they are score + bias. Groups
// are scored by the sum of their best keys (double), the best groups are kept the same way, and the insertion
// runs over their experts in ascending order. A logit of -infinity is a key of -infinity, whatever its bias.
//
// Weights are formed from the logits of the chosen. In w_j = p_j / sum_chosen p the denominator of a softmax
// over all experts cancels:
//   w_j = exp(l_j - l_max) / sum_{i chosen} exp(l_i - l_max)
// and a normalised sigmoid is taken times exp(-min(l_max, 0)), so that its sum cannot vanish:
//   r_j = exp(min(l_j, 0) - min(l_max, 0)) / (1 + exp(-|l_j|)),  w_j = r_j / sum_chosen r
// Cost: E comparisons and k exponentials a token; with a bias, groups or without normalisation E exponentials
// more.

// The next elements of a row, the pad behind its end.
static inline vf load_padded(const float* p, int64_t n, float pad) {
  if (n >= kWidth) return load(p);
  vf v = splat(pad);
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

// The largest of n values; NaN if one of them is.
static inline float highest(const float* p, int64_t n) {
  vf high = splat(-INFINITY);
  vi nan{};
  for (int64_t i = 0; i < n; i += kWidth) {
    vf v = load_padded(p + i, n - i, -INFINITY);
    nan |= v != v;
    high = v > high ? v : high;
  }
  float result = -INFINITY;
  for (int i = 0; i < kWidth; ++i) {
    if (nan[i]) return NAN;
    result = std::max(result, high[i]);
  }
  return result;
}

// out = exp(l - high); returns the sum.
static inline float exps(const float* l, int64_t n, float high, float* out) {
  vf total{};
  for (int64_t i = 0; i < n; i += kWidth) {
    vf x = exp(load_padded(l + i, n - i, -INFINITY) - splat(high));
    store_next(out + i, x, n - i);
    total += x;
  }
  return sum(total);
}

// Goes on keeping the k largest of v in chosen, sorted, with v[from, to); returns how many are held.
template <class T>
static inline int64_t keep_largest(const T* v, int64_t from, int64_t to, int64_t k, int32_t* chosen, int64_t held) {
  for (int64_t e = from; e < to; ++e) {
    if (held == k && !(v[e] > v[chosen[k - 1]])) continue;
    int64_t at = held < k ? held++ : k - 1;
    for (; at > 0 && v[e] > v[chosen[at - 1]]; --at) chosen[at] = chosen[at - 1];
    chosen[at] = static_cast<int32_t>(e);
  }
  return held;
}

// Scores plus bias. A softmax finds exp(l - high) in keys and takes their sum.
static inline void biased_scores(const Routing& r, const float* l, float total, float* keys) {
  for (int64_t e = 0; e < r.experts; e += kWidth) {
    int64_t left = r.experts - e;
    vf logit = load_padded(l + e, left, -INFINITY);
    vf key = logit;
    if (r.score == kSoftmax) key = load_next(keys + e, left) / splat(total);
    if (r.score == kSigmoid) key = sigmoid(logit);
    if (r.bias != nullptr) key += load_next(r.bias + e, left);
    key = logit == splat(-INFINITY) ? logit : key;
    store_next(keys + e, key, left);
  }
}

// The sum of the largest keys above -infinity; -infinity if there is none.
static inline double group_score(const Routing& r, const float* keys, int64_t size) {
  int32_t* best = r.best_of_group();
  int64_t held = keep_largest(keys, 0, size, r.group_best, best, 0);
  double total = keys[best[0]];
  for (int64_t i = 1; i < held && keys[best[i]] > -INFINITY; ++i) total += keys[best[i]];
  return total;
}

static inline void choose_in_groups(const Routing& r, const float* keys, const float* scores, int32_t* chosen) {
  int64_t size = r.experts / r.groups, held = 0;
  int32_t* kept = r.kept_groups();
  for (int64_t g = 0; g < r.groups; ++g) r.group_scores()[g] = group_score(r, scores + g * size, size);
  keep_largest(r.group_scores(), 0, r.groups, r.top_groups, kept, 0);
  std::sort(kept, kept + r.top_groups);
  for (int64_t i = 0; i < r.top_groups; ++i) {
    held = keep_largest(keys, kept[i] * size, (kept[i] + 1) * size, r.k, chosen, held);
  }
}

static inline float sigmoid_of(float x) { return 1.0f / (1.0f + std::exp(-x)); }

static inline float highest_chosen(const Routing& r, const float* l, const int32_t* chosen) {
  float high = -INFINITY;
  for (int64_t s = 0; s < r.k; ++s) high = std::max(high, l[chosen[s]]);
  return high;
}

// What the weight of a chosen expert is before it is divided by the sum over the chosen.
static inline float share(const Routing& r, float logit, float high) {
  if (r.score != kSigmoid) return std::exp(logit - high);
  return std::exp(std::min(logit, 0.0f) - std::min(high, 0.0f)) / (1.0f + std::exp(-std::abs(logit)));
}

// Returns the first token of [t0, t1) that has a NaN, a +infinity, or nothing above -infinity; -1 if none.
static int64_t route(const Routing& r, const float* logits, int64_t ldl, int32_t* index, int64_t ldi, float* weight,
                     int64_t ldw, int64_t t0, int64_t t1) {
  const bool by_scores = r.bias != nullptr || (r.limits_groups() && r.group_best > 1);
  for (int64_t t = t0; t < t1; ++t) {
    const float* l = logits + t * ldl;
    int32_t* chosen = index + t * ldi;
    float* w = weight + t * ldw;
    float high = highest(l, r.experts), all = 1, total = 0;
    if (!(std::abs(high) < INFINITY)) return t;
    if (r.score == kSoftmax && (by_scores || !r.normalized)) all = exps(l, r.experts, high, r.scores());
    if (by_scores) biased_scores(r, l, all, r.scores());
    const float* keys = r.bias != nullptr ? r.scores() : l;
    if (r.limits_groups()) {
      choose_in_groups(r, keys, by_scores ? r.scores() : l, chosen);
    } else {
      keep_largest(keys, 0, r.experts, r.k, chosen, 0);
    }
    if (r.normalized) {
      high = highest_chosen(r, l, chosen);
      for (int64_t s = 0; s < r.k; ++s) total += w[s] = share(r, l[chosen[s]], high);
      for (int64_t s = 0; s < r.k; ++s) w[s] = w[s] / total * r.scale;
    } else {
      for (int64_t s = 0; s < r.k; ++s) {
        float logit = l[chosen[s]];
        w[s] = r.scale * (r.score == kSigmoid ? sigmoid_of(logit) : std::exp(logit - high) / all);
      }
    }
  }
  return -1;
}

// dl_j = slope_j w_j (dw_j - sum_i w_i dw_i / scale) for the chosen experts, 0 for the others; slope is 1 - sigmoid
// for the sigmoid and 1 for the softmax. Without normalisation the sigmoid has no mean, and the softmax takes
// scale p (p, dw) from all experts.
static void route_backward(const Routing& r, const float* logits, int64_t ldl, const int32_t* index, int64_t ldi,
                           const float* dweight, int64_t ldw, float* dlogits, int64_t ldd, int64_t t0, int64_t t1) {
  const bool softmax_of_all = r.score == kSoftmax && !r.normalized;
  for (int64_t t = t0; t < t1; ++t) {
    const float* l = logits + t * ldl;
    const int32_t* chosen = index + t * ldi;
    const float* dw = dweight + t * ldw;
    float* dl = dlogits + t * ldd;
    float high = softmax_of_all ? highest(l, r.experts) : highest_chosen(r, l, chosen);
    float total = 0, mean = 0;
    for (int64_t s = 0; s < r.k; ++s) {
      float p = share(r, l[chosen[s]], high);
      total += p;
      mean += p * dw[s];
    }
    if (softmax_of_all) {
      total = exps(l, r.experts, high, dl);
      vf factor = splat(-r.scale * (mean / total) / total);
      for (int64_t e = 0; e < r.experts; e += kWidth) {
        store_next(dl + e, load_next(dl + e, r.experts - e) * factor, r.experts - e);
      }
    } else {
      std::fill(dl, dl + r.experts, 0.0f);
    }
    mean = r.normalized ? mean / total : 0;
    for (int64_t s = 0; s < r.k; ++s) {
      float logit = l[chosen[s]];
      float w = r.score == kSigmoid && !r.normalized ? sigmoid_of(logit) : share(r, logit, high) / total;
      float slope = r.score == kSigmoid ? sigmoid_of(-logit) : 1;
      dl[chosen[s]] += w * (dw[s] - mean) * (slope * r.scale);
    }
  }
}

typedef uint32_t vu __attribute__((vector_size(L4J_WIDTH * 4)));

static inline vu mixed(vu h) {
  h = (h ^ (h >> 16)) * 0x7feb352du;
  h = (h ^ (h >> 15)) * 0x846ca68bu;
  return h ^ (h >> 16);
}

// out = x (low + span u), u uniform in [0, 1) by seed, row and column: the hash of the class Jitter.
static void jitter(const float* x, int64_t ldx, int64_t H, float low, float span, uint64_t seed, float* out,
                   int64_t ldo, int64_t t0, int64_t t1) {
  vu lane{};
  for (int i = 0; i < kWidth; ++i) lane[i] = i;
  for (int64_t t = t0; t < t1; ++t) {
    uint64_t key = seed + static_cast<uint64_t>(t + 1) * 0x9E3779B97F4A7C15u;
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9u;
    key = (key ^ (key >> 27)) * 0x94D049BB133111EBu;
    key ^= key >> 31;
    for (int64_t h = 0; h < H; h += kWidth) {
      vu column = lane + static_cast<uint32_t>(h) + static_cast<uint32_t>(key);
      vu hash = mixed(mixed(column) ^ static_cast<uint32_t>(key >> 32));
      vf u = __builtin_convertvector((vi)(hash >> 8), vf) * splat(0x1p-24f);
      store_next(out + t * ldo + h, load_next(x + t * ldx + h, H - h) * (splat(low) + splat(span) * u), H - h);
    }
  }
}

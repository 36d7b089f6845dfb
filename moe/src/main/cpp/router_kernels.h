// Top-k routing of T tokens over E experts, and its backward. fp32.
//
// The k largest logits of a row are kept sorted by insertion while the row is read once; a later expert must
// be strictly larger to go ahead of an earlier one, so ties go to the lowest index. softmax is monotone, so
// the k largest logits are the k largest probabilities; in w_j = p_j / sum_chosen p its denominator cancels:
//   w_j = exp(l_j - l_max) / sum_{i chosen} exp(l_i - l_max)
// which is what is computed. Cost: E comparisons and k exponentials a token.

// Returns the first token of [t0, t1) that has a NaN, a +infinity, or nothing above -infinity; -1 if none.
static int64_t route(const float* logits, int64_t ldl, int64_t E, int64_t k, int32_t* index, int64_t ldi,
                     float* weight, int64_t ldw, int64_t t0, int64_t t1) {
  for (int64_t t = t0; t < t1; ++t) {
    const float* l = logits + t * ldl;
    int32_t* chosen = index + t * ldi;
    float* w = weight + t * ldw;
    int64_t held = 0;
    for (int64_t e = 0; e < E; ++e) {
      float v = l[e];
      if (v != v || v == INFINITY) return t;
      if (held == k && !(v > l[chosen[k - 1]])) continue;
      int64_t at = held < k ? held++ : k - 1;
      for (; at > 0 && v > l[chosen[at - 1]]; --at) chosen[at] = chosen[at - 1];
      chosen[at] = static_cast<int32_t>(e);
    }
    float high = l[chosen[0]], total = 0;
    if (high == -INFINITY) return t;
    for (int64_t s = 0; s < k; ++s) total += w[s] = std::exp(l[chosen[s]] - high);
    for (int64_t s = 0; s < k; ++s) w[s] /= total;
  }
  return -1;
}

// dl_j = w_j (dw_j - sum_i w_i dw_i) for the chosen experts, 0 for the others.
static void route_backward(const float* logits, int64_t ldl, int64_t E, int64_t k, const int32_t* index, int64_t ldi,
                           const float* dweight, int64_t ldw, float* dlogits, int64_t ldd, int64_t t0, int64_t t1) {
  for (int64_t t = t0; t < t1; ++t) {
    const float* l = logits + t * ldl;
    const int32_t* chosen = index + t * ldi;
    const float* dw = dweight + t * ldw;
    float* dl = dlogits + t * ldd;
    float high = -INFINITY, total = 0, mean = 0;
    for (int64_t s = 0; s < k; ++s) high = std::max(high, l[chosen[s]]);
    for (int64_t s = 0; s < k; ++s) {
      float p = std::exp(l[chosen[s]] - high);
      total += p;
      mean += p * dw[s];
    }
    mean /= total;
    std::fill(dl, dl + E, 0.0f);
    for (int64_t s = 0; s < k; ++s) dl[chosen[s]] += std::exp(l[chosen[s]] - high) / total * (dw[s] - mean);
  }
}

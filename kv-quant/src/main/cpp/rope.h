// The rotary embedding of one row.

// Turns [from, to) by as much again.
static inline void turn_on(const float* c, const float* s, int64_t from, int64_t to, float* cos, float* sin) {
  for (int64_t j = from; j < to; ++j) {
    float turned = cos[j] * c[j] - sin[j] * s[j];
    sin[j] = sin[j] * c[j] + cos[j] * s[j];
    cos[j] = turned;
  }
}

// Cosines and sines of a position's turns: the product of those of its powers of two.
static inline void turns_at(const kv::Rope& rope, int64_t position, float* cos, float* sin) {
  std::fill(cos, cos + rope.half, 1.0f);
  std::fill(sin, sin + rope.half, 0.0f);
  for (int64_t bit = 0; position >> bit != 0; ++bit) {
    if ((position >> bit & 1) == 0) continue;
    turn_on(rope.cos_bit(bit), rope.sin_bit(bit), 0, rope.half, cos, sin);
  }
}

// The pairs (j, half + j) of a row turned.
static inline void turn(float* x, const float* cos, const float* sin, int64_t half) {
  for (int64_t j = 0; j < half; ++j) {
    float a = x[j], b = x[half + j];
    x[j] = a * cos[j] - b * sin[j];
    x[half + j] = b * cos[j] + a * sin[j];
  }
}

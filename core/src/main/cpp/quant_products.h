// Sums of integer products, the same integers on every instruction set. VNNI multiplies and adds in one instruction,
// where others take two for two products of 16 bits, and sum four products of bytes by way of 16 bits.

#ifdef L4J_VNNI
static inline vi add_pairs(vi sum, vs a, vs b) { return (vi)_mm512_dpwssd_epi32((__m512i)sum, a, b); }

// Sums of products of four bytes: here in 32 bits.
typedef vi fours;
static inline fours add_fours(fours sum, vs unsigned_a, vs b) {
  return (fours)_mm512_dpbusd_epi32((__m512i)sum, unsigned_a, b);
}
static inline fours multiply_fours(vs unsigned_a, vs b) { return add_fours(fours{}, unsigned_a, b); }
static inline vi to_s32(fours sum) { return sum; }
#else
static inline vi add_pairs(vi sum, vs a, vs b) { return sum + multiply_pairs(a, b); }

// Sums of products of four bytes: here two halves of 16 bits, which hold four products of 15 * 127 each.
typedef vs fours;
static inline fours multiply_fours(vs unsigned_a, vs b) { return multiply_bytes(unsigned_a, b); }
static inline fours add_fours(fours sum, vs unsigned_a, vs b) { return add_s16(sum, multiply_bytes(unsigned_a, b)); }
static inline vi to_s32(fours sum) { return multiply_pairs(sum, splat_s16(1)); }
#endif

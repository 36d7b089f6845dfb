// The rate of AMX bf16 tile products, [16, 32] x [32, 16] a step.
namespace l4j {

#pragma GCC push_options
#pragma GCC target("amx-tile,amx-bf16")

// Six sums that do not wait for one another: a step of latency 52 starts every 16 cycles. Returns the operations
// done.
static int64_t amx_chains(int64_t rounds) {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  alignas(64) uint16_t ones[16 * 32];
  std::fill_n(ones, 16 * 32, 0x3f80);
  // The instructions below do not tell the compiler all that they read.
  asm volatile("" : : "r"(&config), "r"(ones) : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_loadd(6, ones, 64);
  _tile_loadd(7, ones, 64);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_release();
  return rounds * 6 * 2 * 16 * 16 * 32;
}

#pragma GCC pop_options

}  // namespace l4j

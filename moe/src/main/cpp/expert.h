// One active expert as the class ExpertTable lays it out: three weights with their row strides in elements, and
// where its token-expert pairs stand in expert order.
#pragma once

#include <cstdint>

namespace l4j {

struct Expert {
  const void* gate;
  int64_t gate_ld;
  const void* up;
  int64_t up_ld;
  const void* down;
  int64_t down_ld;
  int64_t first;
  int64_t count;
};

}  // namespace l4j

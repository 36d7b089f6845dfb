// What ScaleFormat.java and LloydMaxGrid.java have in tables, formed in double and rounded once. Filled before any
// kernel runs, outside the namespaces of the instruction sets: the machine may lack one of them.
#pragma once

#include <cmath>

namespace l4j::kv {

struct Tables {
  float log8[256];         // 2^((u - 160) / 8)
  double log8_borders[8];  // between 2^(k/8) and its successor
  float levels[3][16];     // Lloyd-Max for 2, 3 and 4 bits
  float thresholds[3][15];

  Tables() {
    for (int u = 0; u < 256; ++u) log8[u] = static_cast<float>(std::pow(2.0, (u - 160) / 8.0));
    for (int k = 0; k < 8; ++k) log8_borders[k] = std::pow(2.0, (2 * k + 1) / 16.0);
    constexpr double kPositive[3][8] = {
        {0.452780035, 1.510417608},
        {0.245094179, 0.756005281, 1.343909279, 2.151945705},
        {0.12839503, 0.388048299, 0.656759119, 0.942340456, 1.256231197, 1.618046386, 2.069017227, 2.732589571}};
    for (int i = 0; i < 3; ++i) {
      int half = 2 << i;
      double all[16];
      for (int q = 0; q < half; ++q) {
        all[half + q] = kPositive[i][q];
        all[half - 1 - q] = -kPositive[i][q];
      }
      for (int q = 0; q < 2 * half; ++q) levels[i][q] = static_cast<float>(all[q]);
      for (int q = 1; q < 2 * half; ++q) thresholds[i][q - 1] = static_cast<float>((all[q - 1] + all[q]) / 2);
    }
  }
};

static const Tables tables;

}  // namespace l4j::kv

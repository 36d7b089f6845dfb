// How experts are scored, chosen and weighed: the record RouterOptions, checked, with the tensors that go along.
#pragma once

#include <cstdint>

namespace l4j {

// The enum RouterOptions.Score, in order of declaration.
enum Score : int { kSoftmax = 0, kSoftmaxOfChosen = 1, kSigmoid = 2 };

struct Routing {
  int64_t experts, k;
  int score;
  bool normalized;
  float scale;
  int64_t groups, top_groups, group_best;
  const float* bias;  // null if there is none
  char* scratch;      // 8 bytes a group, 4 a group, 4 for each of group_best, 4 an expert; null if not needed

  bool limits_groups() const { return top_groups < groups; }
  double* group_scores() const { return reinterpret_cast<double*>(scratch); }
  int32_t* kept_groups() const { return reinterpret_cast<int32_t*>(group_scores() + groups); }
  int32_t* best_of_group() const { return kept_groups() + groups; }
  float* scores() const { return reinterpret_cast<float*>(best_of_group() + group_best); }
};

}  // namespace l4j

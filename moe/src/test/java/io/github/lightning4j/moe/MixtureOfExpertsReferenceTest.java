package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class MixtureOfExpertsReferenceTest extends MixtureOfExpertsContract {
  @Override
  MixtureOfExperts experts() {
    return MixtureOfExperts.of(Backend.REFERENCE);
  }
}

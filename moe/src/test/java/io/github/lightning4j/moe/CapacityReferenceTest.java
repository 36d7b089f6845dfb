package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class CapacityReferenceTest extends CapacityContract {
  @Override
  MixtureOfExperts experts() {
    return MixtureOfExperts.of(Backend.REFERENCE);
  }
}

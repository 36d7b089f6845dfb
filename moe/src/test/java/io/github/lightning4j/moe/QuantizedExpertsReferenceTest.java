package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class QuantizedExpertsReferenceTest extends QuantizedExpertsContract {
  @Override
  MixtureOfExperts experts() {
    return MixtureOfExperts.of(Backend.REFERENCE);
  }

  @Override
  SharedExpert sharedExpert() {
    return SharedExpert.of(Backend.REFERENCE);
  }

  @Override
  boolean rounds() {
    return false;
  }
}

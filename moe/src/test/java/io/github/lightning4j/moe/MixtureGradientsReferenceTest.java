package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class MixtureGradientsReferenceTest extends MixtureGradientsContract {
  @Override
  MixtureOfExperts experts() {
    return MixtureOfExperts.of(Backend.REFERENCE);
  }
}

package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class RecordedMixtureReferenceTest extends RecordedMixtureContract {

  @Override
  MixtureOfExperts experts() {
    return MixtureOfExperts.of(Backend.REFERENCE);
  }

  @Override
  SharedExpert sharedExpert() {
    return SharedExpert.of(Backend.REFERENCE);
  }

  @Override
  Router router() {
    return Router.of(Backend.REFERENCE);
  }
}

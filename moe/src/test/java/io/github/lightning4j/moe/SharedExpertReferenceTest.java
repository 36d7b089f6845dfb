package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class SharedExpertReferenceTest extends SharedExpertContract {
  @Override
  SharedExpert sharedExpert() {
    return SharedExpert.of(Backend.REFERENCE);
  }
}

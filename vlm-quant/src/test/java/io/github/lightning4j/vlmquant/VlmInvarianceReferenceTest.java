package io.github.lightning4j.vlmquant;

import io.github.lightning4j.core.Backend;

final class VlmInvarianceReferenceTest extends VlmInvarianceContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

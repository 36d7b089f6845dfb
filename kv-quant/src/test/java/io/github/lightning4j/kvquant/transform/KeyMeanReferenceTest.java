package io.github.lightning4j.kvquant.transform;

import io.github.lightning4j.core.Backend;

final class KeyMeanReferenceTest extends KeyMeanContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

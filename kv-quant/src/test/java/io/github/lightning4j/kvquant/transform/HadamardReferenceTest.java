package io.github.lightning4j.kvquant.transform;

import io.github.lightning4j.core.Backend;

final class HadamardReferenceTest extends HadamardContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.kvquant.transform;

import io.github.lightning4j.core.Backend;

final class GroupedRotationReferenceTest extends GroupedRotationContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

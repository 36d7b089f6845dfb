package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class SpeculationReferenceTest extends SpeculationContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class FusedNormReferenceTest extends FusedNormContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

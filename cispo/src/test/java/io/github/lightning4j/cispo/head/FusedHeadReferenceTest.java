package io.github.lightning4j.cispo.head;

import io.github.lightning4j.core.Backend;

final class FusedHeadReferenceTest extends FusedHeadContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;

final class AttentionPartsReferenceTest extends AttentionPartsContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

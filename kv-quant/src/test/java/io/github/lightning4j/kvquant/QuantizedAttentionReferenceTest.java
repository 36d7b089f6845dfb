package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;

final class QuantizedAttentionReferenceTest extends QuantizedAttentionContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

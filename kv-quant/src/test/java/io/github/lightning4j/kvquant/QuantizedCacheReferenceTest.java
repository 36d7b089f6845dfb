package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;

final class QuantizedCacheReferenceTest extends QuantizedCacheContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;

final class KvCacheReferenceTest extends KvCacheContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

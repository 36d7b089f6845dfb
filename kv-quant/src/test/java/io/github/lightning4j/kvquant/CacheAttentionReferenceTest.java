package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;

final class CacheAttentionReferenceTest extends CacheAttentionContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;

final class CacheAttentionNumericsReferenceTest extends CacheAttentionNumericsContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.vlmquant;

import io.github.lightning4j.core.Backend;

final class VlmAttentionReferenceTest extends VlmAttentionContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

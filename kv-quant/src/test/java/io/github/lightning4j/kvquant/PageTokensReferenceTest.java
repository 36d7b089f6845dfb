package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;

final class PageTokensReferenceTest extends PageTokensContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class RouterJitterReferenceTest extends RouterJitterContract {
  @Override
  Router router() {
    return Router.of(Backend.REFERENCE);
  }
}

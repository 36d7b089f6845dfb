package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class RouterOptionsReferenceTest extends RouterOptionsContract {
  @Override
  Router router() {
    return Router.of(Backend.REFERENCE);
  }
}

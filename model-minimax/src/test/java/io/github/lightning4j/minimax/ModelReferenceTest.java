package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Backend;

final class ModelReferenceTest extends ModelContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

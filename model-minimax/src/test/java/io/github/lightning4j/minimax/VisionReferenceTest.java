package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Backend;

final class VisionReferenceTest extends VisionContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

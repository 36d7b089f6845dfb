package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;

final class GoldenReferenceTest extends GoldenContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

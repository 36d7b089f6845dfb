package io.github.lightning4j.core.quant;

import io.github.lightning4j.core.Backend;

final class QuantizerReferenceTest extends QuantizerContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

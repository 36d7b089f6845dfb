package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class SegmentsReferenceTest extends SegmentsContract {
  @Override
  Backend backend() {
    return Backend.REFERENCE;
  }
}

package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class SixteenBitReferenceTest extends SixteenBitContract {
  @Override
  LightningAttention attention() {
    return LightningAttention.of(Backend.REFERENCE);
  }
}

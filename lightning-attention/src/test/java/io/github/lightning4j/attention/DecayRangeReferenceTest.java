package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class DecayRangeReferenceTest extends DecayRangeContract {
  @Override
  LightningAttention attention() {
    return LightningAttention.of(Backend.REFERENCE);
  }
}

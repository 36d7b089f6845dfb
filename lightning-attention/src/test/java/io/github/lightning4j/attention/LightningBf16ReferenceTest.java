package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class LightningBf16ReferenceTest extends LightningBf16Contract {
  @Override
  LightningAttention attention() {
    return LightningAttention.of(Backend.REFERENCE);
  }
}

package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class SnapshotsReferenceTest extends SnapshotsContract {
  @Override
  LightningAttention attention() {
    return LightningAttention.of(Backend.REFERENCE);
  }
}

package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;

final class GatedRmsNormBackwardReferenceTest extends GatedRmsNormBackwardContract {
  @Override
  GatedRmsNorm norm() {
    return GatedRmsNorm.of(Backend.REFERENCE);
  }
}
